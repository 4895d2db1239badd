"""Extractive reading: the answer to a question is a span of a passage. One head points at its ends, whatever the task."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.data.scoring import exact_match, f1
from raylab.data.stored import StoredIds
from raylab.data.task import Extract
from raylab.data.tokenizer import ids_of, offsets_of
from raylab.families._inputs import Frame, padded
from raylab.masking.corrupt import IGNORED, Batch
from raylab.models.headed import Headed, Pointwise, with_head
from raylab.training.batching import MicroBatch, to_device
from raylab.training.objective import Columns, Mode, Objective

LONGEST = 30  # tokens of an answer that is pointed at


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """A question with a passage in windows that overlap by half.

    windows: token ids of each, the question before a part of the passage. offset: where that part begins in a window.
    firsts: the passage's token with which each window's part begins. char_starts, char_ends: of the passage's tokens.
    answer: window and tokens in it of the first and the last token of the first answer, or None if no window holds it.
    """

    windows: list[list[int]]
    offset: int
    firsts: list[int]
    char_starts: list[int]
    char_ends: list[int]
    answer: tuple[int, int, int] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Span(Objective):
    """Start and end are each chosen among the passage's tokens in all windows. f1, exact_match: of the likeliest span, the best
    over all accepted answers (Rajpurkar et al. 2016). An example of whose answer no window holds all is not trained on."""

    @property
    def head(self) -> str:
        return self.name()

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> Headed:
        return with_head(model, self.head, 2, mode, seed, Pointwise)

    @cached_property
    def _frame(self) -> Frame:
        return Frame.of(self.data.tokenizer, self.data.max_tokens)

    @cached_property
    def _train(self) -> tuple[StoredIds, StoredIds, StoredIds]:
        return self.data.ids("train", "question"), self.data.ids("train", "text"), self.data.offsets("train", "text")

    def _windows(self, example: Extract, question: list[int], passage: list[int], offsets: list[int]) -> _Read:
        """offsets: where each token of the passage begins and ends in its text, one after the other."""
        frame = self._frame
        head = [*frame.before, *question[: frame.max_tokens // 2], frame.sep]
        room = frame.max_tokens - len(head) - 1
        firsts = [0]
        while firsts[-1] + room < len(passage):
            firsts.append(firsts[-1] + max(1, room // 2))
        starts, ends = offsets[::2], offsets[1::2]
        windows = [[*head, *passage[first : first + room], frame.sep] for first in firsts]
        answer = self._place(example, starts, ends, firsts, room)
        return _Read(windows=windows, offset=len(head), firsts=firsts, char_starts=starts, char_ends=ends, answer=answer)

    def _place(
        self, example: Extract, starts: Sequence[int], ends: Sequence[int], firsts: Sequence[int], room: int
    ) -> tuple[int, int, int] | None:
        begin, stop = example.starts[0], example.starts[0] + len(example.answers[0])
        first, last = int(np.searchsorted(ends, begin, side="right")), int(np.searchsorted(starts, stop)) - 1
        fits = [n for n, window in enumerate(firsts) if window <= first and last < min(window + room, len(starts))]
        return (fits[0], first - firsts[fits[0]], last - firsts[fits[0]]) if fits and first <= last else None

    def lengths(self) -> np.ndarray:
        """Of all windows of a row: every one but the last is full."""
        questions, passages, _ = self._train
        heads_E = len(self._frame.before) + np.minimum(questions.lengths, self._frame.max_tokens // 2) + 1
        rooms_E = self._frame.max_tokens - heads_E - 1
        steps_E = np.maximum(1, rooms_E // 2)
        more_E = -(-np.maximum(0, passages.lengths - rooms_E) // steps_E)  # windows after the first
        lengths: np.ndarray = (more_E + 1) * (heads_E + 1) + more_E * (rooms_E - steps_E) + passages.lengths
        return lengths

    def batch(self, rows: Sequence[int]) -> Batch:
        stored, train = self._train, self.data.splits["train"]
        return self._batch([self._windows(train[row], *(ids[row] for ids in stored)) for row in rows])

    def _batch(self, reads: Sequence[_Read]) -> Batch:
        """Rows (B, W, T) of windows; labels (B, 2): start and end, in windows of max_tokens each, as T may be cut. A row with
        fewer windows is filled up with questions alone."""
        most = max(len(read.windows) for read in reads)
        filled = [[*read.windows, *[read.windows[-1][: read.offset]] * (most - len(read.windows))] for read in reads]
        ids, there = padded([window for windows in filled for window in windows], self.data.symbols.pad)
        offsets = np.repeat([read.offset for read in reads], most)
        segments = ((np.arange(ids.shape[1]) >= offsets[:, None]) & there).astype(np.int64)
        labels_B2 = np.full((len(reads), 2), IGNORED, dtype=np.int64)
        for row, read in enumerate(reads):
            if read.answer is not None:
                window, first, last = read.answer
                labels_B2[row] = window * self.data.max_tokens + read.offset + np.array([first, last])
        shape = (len(reads), most, -1)
        return Batch(
            input_ids_BT=ids.reshape(shape), attention_BT=there.reshape(shape), segments_BT=segments.reshape(shape),
            labels_BU=labels_B2,
        )  # fmt: skip

    def logits(self, model: Headed, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        return self._said(model, batch, embeddings_BTH).transpose(1, 2).flatten(0, 1)

    def _said(self, model: Headed, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        """For every token of all windows, how much it is a start and an end, (B, W * T, 2); minus infinity off the passage.

        A passage's part is what stands in the second segment but its end symbol."""
        assert batch.segments_BT is not None
        said = model.answer(self.head, batch.flat(), embeddings_BTH).float()
        part = batch.segments_BT.bool() & batch.segments_BT.roll(-1, dims=2).bool()
        part[..., -1] = False  # what rolled in from the front
        said = said.view(*batch.input_ids_BT.shape, 2).masked_fill(~part.unsqueeze(-1), -math.inf)
        return said.flatten(1, 2)

    def loss(self, model: Headed, batch: MicroBatch) -> torch.Tensor:
        asked, most, width = batch.labels_BU.shape[1], self.data.max_tokens, batch.input_ids_BT.shape[2]
        said_BP2 = self._said(model, batch)[..., :asked]  # one end alone where no row has an answer
        places_B2 = batch.labels_BU.div(most, rounding_mode="floor") * width + batch.labels_BU.remainder(most)
        labels_B2 = places_B2.where(batch.labels_BU != IGNORED, IGNORED)
        return cross_entropy(said_BP2.transpose(1, 2).flatten(0, 1), labels_B2.flatten(), ignore_index=IGNORED, reduction="sum")

    def uniform_loss(self) -> float:
        return math.log(np.mean(self._train[1].lengths))

    def size(self, example: Extract) -> int:
        return len(example.text)

    def answers(self, model: Headed, examples: Sequence[Extract], device: torch.device) -> Columns:
        questions = ids_of(self.data.tokenizer, [example.question for example in examples])
        texts = [example.text for example in examples]
        passages, offsets = ids_of(self.data.tokenizer, texts), offsets_of(self.data.tokenizer, texts)
        reads = [self._windows(*row) for row in zip(examples, questions, passages, offsets, strict=True)]
        batch = to_device(self._batch(reads), slice(None), device)
        said = self._said(model, batch).view(*batch.input_ids_BT.shape, 2).cpu()
        texts = [self._text(example, read, said[row]) for row, (example, read) in enumerate(zip(examples, reads, strict=True))]
        return {
            "f1": [f1(text, example.answers) for text, example in zip(texts, examples, strict=True)],
            "exact_match": [exact_match(text, example.answers) for text, example in zip(texts, examples, strict=True)],
        }

    def _text(self, example: Extract, read: _Read, said_WT2: torch.Tensor) -> str:
        """The text of the span that is likeliest by the sum of start and end, in one window and at most LONGEST tokens."""
        length = said_WT2.shape[1]
        together_WTT = said_WT2[:, :, None, 0] + said_WT2[:, None, :, 1]
        allowed_TT = torch.ones(length, length, dtype=torch.bool).triu().tril(LONGEST - 1)
        best = int(together_WTT.masked_fill(~allowed_TT, -math.inf).flatten().argmax())
        window, first, last = best // length**2, best // length % length, best % length
        if window >= len(read.firsts):
            return ""
        begin, end = (read.firsts[window] + place - read.offset for place in (first, last))
        return example.text[read.char_starts[begin] : read.char_ends[end]] if end < len(read.char_ends) else ""
