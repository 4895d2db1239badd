"""A corpus as tokens: tokenised once into memory-mapped arrays, shared by every run, annotated once.

Long texts become windows of at most `max_tokens` tokens that end at a sentence where one ends in the second half, else
at a word, else between characters. Every window carries its title before it ("Title: text"); the title is context, not
text, so no policy may hide it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.files import written_once
from raylab.data.task import Passage
from raylab.masking.policy import Passages, Spans, spans_of
from raylab.recipe import digest, encode

_SENTENCE_END = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]]*\s")
TEXTS = "texts.txt"  # of all passages, end to end
_ARRAYS = ("tokens", "starts", "char_starts", "char_ends", "maskable", "word_starts")
_CHUNK = 4096  # texts a tokenizer call: bounds memory


@dataclass(frozen=True, slots=True)
class _Window:
    text: str
    tokens: list[int]
    char_starts: list[int]
    char_ends: list[int]
    word_starts: list[bool]
    title_tokens: int


def tokenise(passages: Sequence[Passage], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> TokenisedText:
    """Windows of at most `max_tokens` tokens (no eos), laid end to end."""
    windows = [w for chunk in _chunks(passages) for w in _windows_of(chunk, tokenizer, max_tokens)]
    lengths = [len(w.tokens) for w in windows]
    dtype = np.uint16 if len(tokenizer) <= 2**16 else np.uint32

    def flat(values: Iterator[list[int]] | Iterator[list[bool]], kind: type) -> np.ndarray:
        return np.fromiter((v for row in values for v in row), dtype=kind, count=sum(lengths))

    tokens_N = flat((w.tokens for w in windows), dtype)
    special_N = np.isin(tokens_N, np.array(tokenizer.all_special_ids, dtype=np.int64))
    title_N = flat(([True] * w.title_tokens + [False] * (len(w.tokens) - w.title_tokens) for w in windows), np.bool_)
    return TokenisedText(
        texts=[w.text for w in windows],
        tokens_N=tokens_N,
        starts_P1=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        char_starts_N=flat((w.char_starts for w in windows), np.uint32),
        char_ends_N=flat((w.char_ends for w in windows), np.uint32),
        maskable_N=~(special_N | title_N),
        word_starts_N=flat((w.word_starts for w in windows), np.bool_),
        vocab_size=len(tokenizer),
    )


def _chunks(passages: Sequence[Passage]) -> Iterator[Sequence[Passage]]:
    for begin in range(0, len(passages), _CHUNK):
        yield passages[begin : begin + _CHUNK]


def _windows_of(passages: Sequence[Passage], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Iterator[_Window]:
    titles = [f"{p.title}: " if p.title else "" for p in passages]
    encode_all = {"add_special_tokens": False, "return_offsets_mapping": True, "return_attention_mask": False, "verbose": False}
    title_ids = tokenizer([t.rstrip() for t in titles], **encode_all)
    bodies = tokenizer([p.text for p in passages], **encode_all)
    for i, (passage, title) in enumerate(zip(passages, titles, strict=True)):
        head, head_spans = title_ids["input_ids"][i][: max_tokens // 2], title_ids["offset_mapping"][i]
        tokens, spans, words = bodies["input_ids"][i], bodies["offset_mapping"][i], bodies.word_ids(i)
        for begin, end in _cuts(passage.text, spans, words, max_tokens - len(head)):
            first, last = spans[begin][0], spans[end - 1][1]
            shift = len(title) - first
            yield _Window(
                text=title + passage.text[first:last],
                tokens=[*head, *tokens[begin:end]],
                char_starts=[*(a for a, _ in head_spans[: len(head)]), *(a + shift for a, _ in spans[begin:end])],
                char_ends=[*(b for _, b in head_spans[: len(head)]), *(b + shift for _, b in spans[begin:end])],
                word_starts=[*(j == 0 for j in range(len(head))), *_begins(words[begin:end])],
                title_tokens=len(head),
            )


def _begins(words: Sequence[int | None]) -> list[bool]:
    return [i == 0 or word != words[i - 1] for i, word in enumerate(words)]


def _cuts(text: str, spans: Sequence[tuple[int, int]], words: Sequence[int | None], room: int) -> Iterator[tuple[int, int]]:
    """Half-open token ranges of the windows of one text."""
    if len(spans) <= room:
        if spans:
            yield 0, len(spans)
        return
    sentence_ends = {match.end() - 1 for match in _SENTENCE_END.finditer(text)}
    begin = 0
    while begin < len(spans):
        end = min(begin + room, len(spans))
        if end < len(spans):
            # a character of several bytes may be several tokens, and is not cut
            whole = [e for e in range(end, begin + room // 2, -1) if spans[e][0] >= spans[e - 1][1]] or [end]
            sentence = next((e for e in whole if spans[e - 1][1] in sentence_ends), None)
            end = sentence or next((e for e in whole if words[e] != words[e - 1]), whole[0])
        yield begin, end
        begin = end


class Corpus:
    """A tokenised corpus in a folder, memory-mapped; annotations are computed on first use and kept beside it."""

    def __init__(self, folder: Path, vocab_size: int) -> None:
        self.folder = folder
        self.vocab_size = vocab_size
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        self.tokens_N, self.starts_P1 = arrays["tokens"], np.asarray(arrays["starts"])
        self.maskable_N, self.word_starts_N = arrays["maskable"], arrays["word_starts"]
        self._char_starts_N, self._char_ends_N = arrays["char_starts"], arrays["char_ends"]
        self._annotations: dict[Annotation, tuple[np.ndarray, np.ndarray | None]] = {}

    @classmethod
    def write(cls, text: TokenisedText, folder: Path) -> None:
        """Write the arrays and the texts of `text` into `folder`."""
        arrays = dict(zip(_ARRAYS, (text.tokens_N, text.starts_P1, text.char_starts_N, text.char_ends_N, text.maskable_N,
                                    text.word_starts_N), strict=True))  # fmt: skip
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        characters = [len(t) for t in text.texts]
        np.save(folder / "text_starts.npy", np.concatenate([[0], np.cumsum(characters)]).astype(np.int64))
        (folder / TEXTS).write_text("".join(text.texts), encoding="utf-8")

    def __len__(self) -> int:
        return len(self.starts_P1) - 1

    @property
    def lengths_P(self) -> np.ndarray:  # noqa: N802 (the shape is in the name)
        """Tokens of each passage."""
        return np.diff(self.starts_P1)

    def texts(self) -> list[str]:
        """The passages as text, title included."""
        whole = (self.folder / TEXTS).read_text(encoding="utf-8")
        bounds = np.load(self.folder / "text_starts.npy")
        return [whole[a:b] for a, b in pairwise(bounds)]

    def tokenised(self) -> TokenisedText:
        """Everything an annotation may read."""
        return TokenisedText(
            texts=self.texts(), tokens_N=self.tokens_N, starts_P1=self.starts_P1, char_starts_N=self._char_starts_N,
            char_ends_N=self._char_ends_N, maskable_N=self.maskable_N, word_starts_N=self.word_starts_N,
            vocab_size=self.vocab_size, folder=self.folder,
        )  # fmt: skip

    def excerpt(self, rows_R: np.ndarray) -> TokenisedText:
        """The passages `rows_R` with their texts."""
        index_N, starts_R1 = _gather(self.starts_P1, rows_R)
        texts = self.texts()
        return TokenisedText(
            texts=[texts[row] for row in rows_R], tokens_N=self.tokens_N[index_N], starts_P1=starts_R1,
            char_starts_N=self._char_starts_N[index_N], char_ends_N=self._char_ends_N[index_N],
            maskable_N=self.maskable_N[index_N], word_starts_N=self.word_starts_N[index_N], vocab_size=self.vocab_size,
        )  # fmt: skip

    def passages(self, rows_R: np.ndarray, annotations: Sequence[Annotation] = ()) -> Passages:
        """The passages `rows_R` laid end to end, with these annotations."""
        index_N, starts_R1 = _gather(self.starts_P1, rows_R)
        spans: dict[Annotation, Spans] = {}
        weights: dict[Annotation, np.ndarray] = {}
        for annotation in annotations:
            values, bounds_P1 = self._annotation(annotation)
            if bounds_P1 is None:
                weights[annotation] = values[index_N]
            else:
                spans[annotation] = _gather_spans(values, bounds_P1, rows_R, self.starts_P1, starts_R1)
        return Passages(
            tokens_N=self.tokens_N[index_N], starts_R1=starts_R1, maskable_N=self.maskable_N[index_N],
            word_starts_N=self.word_starts_N[index_N], vocab_size=self.vocab_size, spans=spans, weights=weights,
        )  # fmt: skip

    def annotate(self, annotation: Annotation) -> None:
        """Compute an annotation if it is not there yet; several processes may do so at once."""
        path = self._annotation_path(annotation)
        if not path.exists():
            with written_once(path) as temporary, open(temporary, "wb") as file:
                np.save(file, annotation.compute(self.tokenised()))

    def _annotation_path(self, annotation: Annotation) -> Path:
        key = digest([encode(annotation, for_key=True), type(annotation).version])
        return self.folder / "annotations" / f"{annotation.name()}-{key}.npy"

    def _annotation(self, annotation: Annotation) -> tuple[np.ndarray, np.ndarray | None]:
        if annotation not in self._annotations:
            self.annotate(annotation)
            values = np.load(self._annotation_path(annotation), mmap_mode="r")
            of_passage = np.searchsorted(values[:, 0], self.starts_P1) if values.ndim == 2 else None
            self._annotations[annotation] = values, of_passage
        return self._annotations[annotation]


def _gather(starts_P1: np.ndarray, rows_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the whole corpus of the tokens of `rows_R`, laid end to end, and their boundaries."""
    lengths_R = starts_P1[rows_R + 1] - starts_P1[rows_R]
    starts_R1 = np.concatenate([[0], np.cumsum(lengths_R)]).astype(np.int64)
    return np.arange(starts_R1[-1]) + np.repeat(starts_P1[rows_R] - starts_R1[:-1], lengths_R), starts_R1


def _gather_spans(
    spans_S: np.ndarray, bounds_P1: np.ndarray, rows_R: np.ndarray, starts_P1: np.ndarray, starts_R1: np.ndarray
) -> Spans:
    index_S, bounds_R1 = _gather(bounds_P1, rows_R)
    shift_S = np.repeat(starts_R1[:-1] - starts_P1[rows_R], np.diff(bounds_R1))
    picked_S = spans_S[index_S]
    return spans_of(picked_S, shift_S)
