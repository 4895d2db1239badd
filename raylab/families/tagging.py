"""Tagging: one tag for every word, such as what kind of name it is part of."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.data.stored import StoredIds
from raylab.data.task import Tagged
from raylab.data.tokenizer import ids_of
from raylab.families._inputs import Frame, padded
from raylab.masking.corrupt import IGNORED, Batch
from raylab.models.headed import Headed, Pointwise, with_head
from raylab.training.batching import MicroBatch, to_device
from raylab.training.objective import Columns, Mode, Objective

Span = tuple[str, int, int]  # its type, its first word, and one past its last


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """An example as tokens, and the place of each word's first token, as far as they fit."""

    ids: list[int]
    places: list[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tagging(Objective):
    """A word's tag is said at its first token. span_f1: of whole spans, as CoNLL counts them (Tjong Kim Sang and De Meulder
    2003); with tags that mark no beginnings, words of one tag in a row are a span. token_accuracy: of words.

    Both are measures of a whole split: an example's number is its share, so that the mean is the split's figure. A word beyond
    the longest input is counted as tagged with the commonest tag of the train split.
    """

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> Headed:
        return with_head(model, self.head, len(self.data.labels), mode, seed, Pointwise)

    @cached_property
    def _frame(self) -> Frame:
        return Frame.of(self.data.tokenizer, self.data.max_tokens)

    @cached_property
    def _train(self) -> StoredIds:
        return self.data.ids("train", "tokens")

    @cached_property
    def _commonest(self) -> int:
        return int(np.bincount([tag for example in self.data.splits["train"] for tag in example.tags]).argmax())

    def _read(self, words: Sequence[list[int]]) -> _Read:
        """words: the ids of each."""
        ids, places, unknown = [*self._frame.before], list[int](), self.data.tokenizer.unk_token_id
        for word in words:
            if len(ids) + len(word) >= self._frame.max_tokens:
                break
            places.append(len(ids))
            ids += word or [self._frame.sep if unknown is None else unknown]
        return _Read(ids=[*ids, self._frame.sep], places=places)

    def lengths(self) -> np.ndarray:
        return np.array([len(self._read(self._train.parts(row)).ids) for row in range(len(self._train))])

    def batch(self, rows: Sequence[int]) -> Batch:
        train = self.data.splits["train"]
        return self._batch([self._read(self._train.parts(row)) for row in rows], [train[row].tags for row in rows])

    def _batch(self, reads: Sequence[_Read], tags: Sequence[Sequence[int]]) -> Batch:
        ids_BT, there_BT = padded([read.ids for read in reads], self.data.symbols.pad)
        labels_BT = np.full(ids_BT.shape, IGNORED, dtype=np.int64)
        for row, (read, own) in enumerate(zip(reads, tags, strict=True)):
            labels_BT[row, read.places] = own[: len(read.places)]
        return Batch(input_ids_BT=ids_BT, attention_BT=there_BT, labels_BU=labels_BT)

    def loss(self, model: Headed, batch: MicroBatch) -> torch.Tensor:
        return cross_entropy(self.logits(model, batch), batch.labels_BU[batch.labels_BU != IGNORED], reduction="sum")

    def logits(self, model: Headed, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        said_BUC = model.answer(self.head, batch, embeddings_BTH)[:, : batch.labels_BU.shape[1]]
        return said_BUC[batch.labels_BU != IGNORED].float()

    def uniform_loss(self) -> float:
        return math.log(len(self.data.labels))

    def size(self, example: Tagged) -> int:
        return len(example.tokens)

    def answers(self, model: Headed, examples: Sequence[Tagged], device: torch.device) -> Columns:
        reads = [self._read(ids_of(self.data.tokenizer, example.tokens)) for example in examples]
        batch = to_device(self._batch(reads, [example.tags for example in examples]), slice(None), device)
        said_BT = model.answer(self.head, batch).argmax(2).cpu().numpy()
        rows = [
            self._counted(example, [*said_T[read.places].tolist(), *[self._commonest] * (len(example.tags) - len(read.places))])
            for example, read, said_T in zip(examples, reads, said_BT, strict=True)
        ]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _counted(self, example: Tagged, said: Sequence[int]) -> dict[str, float]:
        right, found = (set(spans([self.data.labels[tag] for tag in tags])) for tags in (example.tags, said))
        agreed = sum(own == other for own, other in zip(example.tags, said, strict=True))
        return {
            "both": len(right & found), "spans": len(right) + len(found), "agreed": agreed, "words": len(example.tags)
        }  # fmt: skip

    def measured(self, noted: Columns) -> Columns:
        both_E, spans_E, agreed_E, words_E = (np.array(noted[name]) for name in ("both", "spans", "agreed", "words"))
        return {
            "span_f1": (2 * both_E / (spans_E.mean() or 1.0)).tolist(),
            "token_accuracy": (agreed_E / (words_E.mean() or 1.0)).tolist(),
        }


def spans(tags: Sequence[str]) -> Iterator[Span]:
    """The spans that tags mark. "B-x" begins a span of x, "I-x" goes on with it, or begins one; "O" is outside. Other tags mark a
    span by themselves, as long as they follow one another."""

    def key(place: int) -> tuple[str, int]:
        return tags[place].partition("-")[2] or tags[place], begun[place]

    begun = list[int]()  # how many spans have begun up to a word
    for place, tag in enumerate(tags):
        begins = tag.startswith("B-") or (place > 0 and _type(tag) != _type(tags[place - 1]))
        begun.append((begun[-1] if begun else 0) + begins)
    for (name, _), places in groupby(range(len(tags)), key):
        first, *rest = list(places)
        if name != "O":
            yield name, first, (rest[-1] if rest else first) + 1


def _type(tag: str) -> str:
    return tag.partition("-")[2] or tag
