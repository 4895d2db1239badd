"""Texts and pairs of texts as a model reads them, and what families with a head have in common.

What stands before, between and after texts is the tokenizer's own, if it has any.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

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


def inputs_of(tokenizer: PreTrainedTokenizerBase, firsts: Sequence[str], seconds: Sequence[str], max_tokens: int) -> Inputs:
    """`cls first sep` or `cls first sep second sep`, at most `max_tokens` long, special ones included.

    cls is left out where the tokenizer has none; in place of sep stands eos where it has none. A pair that is too long is cut
    at the end of the longer text, so that as much as can be is left of both.
    """
    before = [] if tokenizer.cls_token_id is None else [tokenizer.cls_token_id]
    sep = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    ids, starts = [], []
    for first, second in zip(ids_of(tokenizer, firsts), ids_of(tokenizer, seconds), strict=True):
        room = max_tokens - len(before) - 1 - bool(second)
        ones, others = _cut(len(first), len(second), room)
        head = [*before, *first[:ones], sep]
        ids.append([*head, *second[:others], sep] if second else head)
        starts.append(len(head))
    return Inputs(ids=ids, second_starts=starts)


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
    def _train(self) -> Inputs:
        return self._inputs(self.data.splits["train"])

    @cached_property
    def _labels(self) -> np.ndarray:
        return np.array([self.label(example) for example in self.data.splits["train"]])

    def _inputs(self, examples: Sequence[Any]) -> Inputs:
        texts, seconds = [e.text for e in examples], [e.text_b for e in examples]
        return inputs_of(self.data.tokenizer, texts, seconds, self.data.max_tokens)

    def lengths(self) -> Sequence[int]:
        return [len(ids) for ids in self._train.ids]

    def batch(self, rows: Sequence[int]) -> Batch:
        return self._batch(self._train, rows, self._labels[rows])

    def _batch(self, inputs: Inputs, rows: Sequence[int], labels_B: np.ndarray) -> Batch:
        ids_BT, there_BT = padded([inputs.ids[row] for row in rows], self.data.symbols.pad)
        second_B = np.array([inputs.second_starts[row] for row in rows])
        segments_BT = (np.arange(ids_BT.shape[1]) >= second_B[:, None]) & there_BT
        return Batch(
            input_ids_BT=ids_BT, attention_BT=there_BT, labels_BU=labels_B[:, None], segments_BT=segments_BT.astype(np.int64)
        )

    def size(self, example: Any) -> int:
        return len(example.text) + len(example.text_b)

    def read(self, model: Headed, examples: Sequence[Any], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """What the head says of examples (B, outputs), and their labels (B)."""
        labels_B = np.array([self.label(example) for example in examples])
        batch = to_device(self._batch(self._inputs(examples), range(len(examples)), labels_B), slice(None), device)
        return self.said(model, batch), batch.labels_BU[:, 0]

    def said(self, model: Headed, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        """What the head says of a batch, in float32."""
        return model.answer(self.head, batch, embeddings_BTH).float()
