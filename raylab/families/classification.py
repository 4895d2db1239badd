"""Classification of a text, or of a pair of texts: one of the task's classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.data.task import Labelled
from raylab.families._inputs import Inputs, inputs_of, padded
from raylab.masking.corrupt import Batch
from raylab.models.headed import Headed, with_head
from raylab.training.batching import MicroBatch, to_device
from raylab.training.objective import Columns, Mode, Objective


@dataclass(frozen=True, kw_only=True, eq=False)
class Classification(Objective):
    """accuracy: 1 where the likeliest class is the right one. bits_per_label: minus log2 of the right class's probability."""

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> Headed:
        return with_head(model, self.data.task, len(self.data.labels), mode, seed)

    @cached_property
    def _train(self) -> Inputs:
        return self._inputs(self.data.splits["train"])

    def _inputs(self, examples: Sequence[Labelled]) -> Inputs:
        texts, seconds = [e.text for e in examples], [e.text_b for e in examples]
        return inputs_of(self.data.tokenizer, texts, seconds, self.data.max_tokens)

    def lengths(self) -> Sequence[int]:
        return [len(ids) for ids in self._train.ids]

    def batch(self, rows: Sequence[int]) -> Batch:
        train = self.data.splits["train"]
        return self._batch(self._train, rows, [train[row].label for row in rows])

    def _batch(self, inputs: Inputs, rows: Sequence[int], labels: Sequence[int]) -> Batch:
        ids_BT, there_BT = padded([inputs.ids[row] for row in rows], self.data.symbols.pad)
        second_B = np.array([inputs.second_starts[row] for row in rows])
        segments_BT = (np.arange(ids_BT.shape[1]) >= second_B[:, None]) & there_BT
        return Batch(
            input_ids_BT=ids_BT, attention_BT=there_BT, labels_BU=np.array(labels, dtype=np.int64)[:, None],
            segments_BT=segments_BT.astype(np.int64),
        )  # fmt: skip

    def loss(self, model: Headed, batch: MicroBatch) -> torch.Tensor:
        return cross_entropy(self._logits(model, batch), batch.labels_BU[:, 0], ignore_index=-100, reduction="sum")

    def _logits(self, model: Headed, batch: MicroBatch) -> torch.Tensor:
        return model.answer(self.data.task, batch).float()

    def uniform_loss(self) -> float:
        return math.log(len(self.data.labels))

    def size(self, example: Labelled) -> int:
        return len(example.text) + len(example.text_b)

    def answers(self, model: Headed, examples: Sequence[Labelled], device: torch.device) -> Columns:
        rows = range(len(examples))
        batch = to_device(self._batch(self._inputs(examples), rows, [e.label for e in examples]), slice(None), device)
        logits_BC, labels_B = self._logits(model, batch), batch.labels_BU[:, 0]
        nats_B = cross_entropy(logits_BC, labels_B, reduction="none")
        return {
            "accuracy": (logits_BC.argmax(1) == labels_B).float().tolist(),
            "bits_per_label": (nats_B / math.log(2)).tolist(),
        }
