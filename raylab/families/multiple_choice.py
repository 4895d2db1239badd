"""Multiple choice: which of a few texts goes with a text. Every choice is read with it; one head ranks them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.data.stored import StoredIds
from raylab.data.task import SPLITS, Choice
from raylab.data.tokenizer import ids_of
from raylab.families._inputs import Frame, padded
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
        return len(self._frame.around([((), ())]).ids[0])

    @cached_property
    def _most(self) -> int:
        """The most choices that an example of the task has: those with fewer are filled up with none."""
        judged = (example for split in SPLITS[1:] for example in self.data.splits[split])
        return max(int(self._train[1].counts.max(initial=0)), *(len(example.choices) for example in judged))

    @cached_property
    def _frame(self) -> Frame:
        return Frame.of(self.data.tokenizer, self.data.max_tokens)

    @cached_property
    def _train(self) -> tuple[StoredIds, StoredIds]:
        return self.data.ids("train", "text"), self.data.ids("train", "choices")

    def lengths(self) -> np.ndarray:
        texts, choices = self._train
        texts_C, choices_C = np.repeat(texts.lengths, choices.counts), choices.part_lengths
        both_C = (texts_C > 0) & (choices_C > 0)
        read_C = np.where(
            choices_C > 0, self._frame.lengths(np.where(both_C, texts_C, choices_C), both_C * choices_C), self._nothing
        )
        ends_E = np.cumsum(choices.counts)
        total_E = np.diff(np.cumsum(read_C)[ends_E - 1], prepend=0)
        lengths: np.ndarray = total_E + (self._most - choices.counts) * self._nothing
        return lengths

    def batch(self, rows: Sequence[int]) -> Batch:
        (texts, choices), train = self._train, self.data.splits["train"]
        return self._batch([texts[row] for row in rows], [choices.parts(row) for row in rows], [train[row].label for row in rows])

    def _read(self, examples: Sequence[Choice], device: torch.device) -> MicroBatch:
        tokenizer = self.data.tokenizer
        texts = ids_of(tokenizer, [example.text for example in examples])
        every = iter(ids_of(tokenizer, [choice for example in examples for choice in example.choices]))
        choices = [list(islice(every, len(example.choices))) for example in examples]
        return to_device(self._batch(texts, choices, [example.label for example in examples]), slice(None), device)

    def _batch(self, texts: Sequence[list[int]], choices: Sequence[list[list[int]]], labels: Sequence[int]) -> Batch:
        """Rows (B, C, T): each choice with its text, or alone where there is none; as many as an example has at most."""
        most = self._most
        filled = ((text, [*own, *[[]] * (most - len(own))]) for text, own in zip(texts, choices, strict=True))
        inputs = self._frame.around((text, choice) if text and choice else (choice, ()) for text, own in filled for choice in own)
        ids, there = padded(inputs.ids, self.data.symbols.pad)
        second = np.array(inputs.second_starts)
        segments = ((np.arange(ids.shape[1]) >= second[:, None]) & there).astype(np.int64)
        shape = (len(labels), most, -1)
        return Batch(
            input_ids_BT=ids.reshape(shape), attention_BT=there.reshape(shape), segments_BT=segments.reshape(shape),
            labels_BU=np.array(labels)[:, None],
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
        batch = self._read(examples, device)
        chosen_B = self.logits(model, batch).argmax(1)
        return {"accuracy": (chosen_B == batch.labels_BU[:, 0]).float().tolist()}
