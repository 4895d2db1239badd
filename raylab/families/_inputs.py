"""Texts and pairs of texts as a model reads them, and what families with a head have in common.

What stands before, between and after texts is the tokenizer's own, if it has any.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from raylab.data.stored import StoredIds
from raylab.data.tokenizer import ids_of
from raylab.masking.corrupt import Batch
from raylab.models.headed import Headed
from raylab.training.batching import MicroBatch, to_device
from raylab.training.objective import Objective


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Token ids of every example, and where its second text begins (its length, if it has none)."""

    ids: Sequence[Sequence[int]]
    second_starts: Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What stands around texts: `cls first sep` or `cls first sep second sep`, at most `max_tokens` long, all counted.

    cls is left out where the tokenizer has none; in place of sep stands eos where it has none. A pair that is too long is cut
    at the end of the longer text, so that as much as can be is left of both.
    """

    before: tuple[int, ...]
    sep: int
    max_tokens: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> "Frame":
        before = () if tokenizer.cls_token_id is None else (tokenizer.cls_token_id,)
        sep = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
        return cls(before=before, sep=sep, max_tokens=max_tokens)

    def around(self, pairs: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Inputs:
        """The ids of texts as inputs; a second one without ids is none."""
        ids, starts = [], []
        for first, second in pairs:
            room = self.max_tokens - len(self.before) - 1 - bool(second)
            ones, others = _cut(len(first), len(second), room)
            head = [*self.before, *first[:ones], self.sep]
            ids.append([*head, *second[:others], self.sep] if second else head)
            starts.append(len(head))
        return Inputs(ids=ids, second_starts=starts)

    def lengths(self, firsts_E: np.ndarray, seconds_E: np.ndarray) -> np.ndarray:
        """How long inputs of texts of so many tokens are."""
        whole_E = len(self.before) + firsts_E + 1 + np.where(seconds_E > 0, seconds_E + 1, 0)
        lengths: np.ndarray = np.minimum(whole_E, self.max_tokens)
        return lengths


def inputs_of(tokenizer: PreTrainedTokenizerBase, firsts: Sequence[str], seconds: Sequence[str], max_tokens: int) -> Inputs:
    """Texts, or pairs of them ("" for none), in their frame."""
    return Frame.of(tokenizer, max_tokens).around(zip(ids_of(tokenizer, firsts), ids_of(tokenizer, seconds), strict=True))


def _cut(first: int, second: int, room: int) -> tuple[int, int]:
    """How much is kept of two texts of these lengths: all, or else equal parts of the room, as far as both are that long."""
    if first + second <= room:
        return first, second
    half = max(room // 2, room - min(first, second))
    return (min(first, half), room - min(first, half)) if first >= second else (room - min(second, half), min(second, half))


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids (B, T), and where there are any (B, T)."""
    lengths_B = np.array([len(row) for row in rows])
    there_BT = np.arange(lengths_B.max(initial=1)) < lengths_B[:, None]
    ids_BT = np.full(there_BT.shape, pad, dtype=np.int64)
    ids_BT[there_BT] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return ids_BT, there_BT


@dataclass(frozen=True, kw_only=True, eq=False)
class OfTexts(Objective):
    """A family whose examples are a text or a pair of texts, and a label."""

    @abstractmethod
    def label(self, example: Any) -> float:
        """What the head is to say."""

    @cached_property
    def _frame(self) -> Frame:
        return Frame.of(self.data.tokenizer, self.data.max_tokens)

    @cached_property
    def _train(self) -> tuple[StoredIds, StoredIds]:
        return self.data.ids("train", "text"), self.data.ids("train", "text_b")

    def lengths(self) -> np.ndarray:
        texts, seconds = self._train
        return self._frame.lengths(texts.lengths, seconds.lengths)

    def batch(self, rows: Sequence[int]) -> Batch:
        (texts, seconds), train = self._train, self.data.splits["train"]
        return self._batch(
            self._frame.around((texts[row], seconds[row]) for row in rows), self._labels([train[row] for row in rows])
        )

    def _labels(self, examples: Sequence[Any]) -> np.ndarray:
        return np.array([self.label(example) for example in examples])

    def _batch(self, inputs: Inputs, labels_B: np.ndarray) -> Batch:
        ids_BT, there_BT = padded(inputs.ids, self.data.symbols.pad)
        second_B = np.array(inputs.second_starts)
        segments_BT = (np.arange(ids_BT.shape[1]) >= second_B[:, None]) & there_BT
        return Batch(
            input_ids_BT=ids_BT, attention_BT=there_BT, labels_BU=labels_B[:, None], segments_BT=segments_BT.astype(np.int64)
        )

    def size(self, example: Any) -> int:
        return len(example.text) + len(example.text_b)

    def read(self, model: Headed, examples: Sequence[Any], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """What the head says of examples (B, outputs), and their labels (B)."""
        texts, seconds = [e.text for e in examples], [e.text_b for e in examples]
        inputs = inputs_of(self.data.tokenizer, texts, seconds, self.data.max_tokens)
        batch = to_device(self._batch(inputs, self._labels(examples)), slice(None), device)
        return self.said(model, batch), batch.labels_BU[:, 0]

    def said(self, model: Headed, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        """What the head says of a batch, in float32."""
        return model.answer(self.head, batch, embeddings_BTH).float()
