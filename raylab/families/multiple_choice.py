"""Multiple choice: which of a few texts goes with a text. Every choice is read with it; one head ranks them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.data.task import Choice
from raylab.families._inputs import Inputs, inputs_of, padded
from raylab.masking.corrupt import Batch
from raylab.models.headed import Headed, with_head
from raylab.training.batching import MicroBatch, to_device
from raylab.training.objective import Columns, Mode, Objective


@dataclass(frozen=True, kw_only=True, eq=False)
class MultipleChoice(Objective):
    """accuracy: 1 where the choice that ranks first is the right one. Every such task has the same head: it says how well a
    choice goes with a text, whatever the task."""

    @property
    def head(self) -> str:
        return self.name()

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> Headed:
        return with_head(model, self.head, 1, mode, seed)

    @cached_property
    def _nothing(self) -> int:
        """Tokens of no text at all: special ones."""
        return len(inputs_of(self.data.tokenizer, [""], [""], self.data.max_tokens).ids[0])

    @cached_property
    def _most(self) -> int:
        """The most choices that an example of the task has: those with fewer are filled up with none."""
        return max(len(example.choices) for split in self.data.splits.values() for example in split)

    @cached_property
    def _train(self) -> Inputs:
        return self._inputs(self.data.splits["train"])

    def _inputs(self, examples: Sequence[Choice]) -> Inputs:
        """`_most` inputs an example."""
        every = [[*e.choices, *[""] * (self._most - len(e.choices))] for e in examples]
        texts = [e.text if choice else "" for e, choices in zip(examples, every, strict=True) for choice in choices]
        seconds = [choice for choices in every for choice in choices]
        firsts = [text or choice for text, choice in zip(texts, seconds, strict=True)]  # without a text, a choice stands alone
        rest = [choice if text else "" for text, choice in zip(texts, seconds, strict=True)]
        return inputs_of(self.data.tokenizer, firsts, rest, self.data.max_tokens)

    def lengths(self) -> Sequence[int]:
        return [sum(map(len, self._train.ids[i : i + self._most])) for i in range(0, len(self._train.ids), self._most)]

    def batch(self, rows: Sequence[int]) -> Batch:
        return self._batch(self._train, self.data.splits["train"], rows)

    def _batch(self, inputs: Inputs, examples: Sequence[Choice], rows: Sequence[int]) -> Batch:
        most = self._most
        chosen = [row * most + choice for row in rows for choice in range(most)]
        ids, there = padded([inputs.ids[i] for i in chosen], self.data.symbols.pad)
        second = np.array([inputs.second_starts[i] for i in chosen])
        segments = ((np.arange(ids.shape[1]) >= second[:, None]) & there).astype(np.int64)
        shape = (len(rows), most, -1)
        return Batch(
            input_ids_BT=ids.reshape(shape), attention_BT=there.reshape(shape), segments_BT=segments.reshape(shape),
            labels_BU=np.array([[examples[row].label] for row in rows]),
        )  # fmt: skip

    def logits(self, model: Headed, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        """A number for every choice (B, C); minus infinity for none."""
        ranks_BC = model.answer(self.head, batch.flat(), embeddings_BTH).float().view(batch.input_ids_BT.shape[:2])
        return ranks_BC.masked_fill(batch.attention_BT.sum(2) <= self._nothing, -math.inf)

    def loss(self, model: Headed, batch: MicroBatch) -> torch.Tensor:
        return cross_entropy(self.logits(model, batch), batch.labels_BU[:, 0], ignore_index=-100, reduction="sum")

    def uniform_loss(self) -> float:
        return math.log(self._most)

    def size(self, example: Choice) -> int:
        return len(example.text) * len(example.choices) + sum(map(len, example.choices))

    def answers(self, model: Headed, examples: Sequence[Choice], device: torch.device) -> Columns:
        batch = to_device(self._batch(self._inputs(examples), examples, range(len(examples))), slice(None), device)
        chosen_B = self.logits(model, batch).argmax(1)
        return {"accuracy": (chosen_B == batch.labels_BU[:, 0]).float().tolist()}
