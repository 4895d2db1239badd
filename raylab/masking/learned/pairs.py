"""Which spans of a corpus a task asks for: its questions joined to the passages that answer them.

A task rarely says where its answers stand, so that passages are found by distant supervision, as in open-domain question
answering: a passage in which an answer stands as whole words, of all such the one that shares most with the question,
words weighted by how rare they are and those of a passage's title twice. A question of which no passage shares enough is
left out, and counted.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from raylab.data.annotation import TokenisedText
from raylab.data.annotations.salient import token_spans
from raylab.data.located import Place, key_of, located, words_of

MIN_OVERLAP = 0.2  # of the question's weight; at it, 93 % of atlas's questions that are joined get the passage they were made of


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One question in one passage: the row of the passage, and its answer's places there as token ranges from the
    passage's first token on. question: its place in the split."""

    row: int
    spans: tuple[tuple[int, int], ...]
    question: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """What a split's questions ask for. questions: of the split. found: those of which an answer stands in the corpus, whether
    or not a passage goes with the question."""

    asked: tuple[Asked, ...]
    questions: int
    found: int

    @property
    def rows(self) -> np.ndarray:
        """The passages that answer a question, sorted."""
        return np.array(sorted({pair.row for pair in self.asked}), dtype=np.int64)


def pairs(examples: Sequence[Any], text: TokenisedText, min_overlap: float = MIN_OVERLAP) -> Pairs:
    """Join questions to the passages of a corpus. examples: with `question` and `answers`."""
    places = located({answer for example in examples for answer in example.answers}, text.texts)
    shared = _Shared(text)
    asked, found = list[tuple[int, int, tuple[Place, ...]]](), 0
    for number, example in enumerate(examples):
        own = [place for key in {key_of(answer) for answer in example.answers} for place in places.get(key, ())]
        found += bool(own)
        for row in shared.best(example.question, {row for row, _, _ in own}, min_overlap):
            asked.append((number, row, tuple(_longest([place for place in own if place[0] == row]))))
    return Pairs(asked=tuple(_as_tokens(asked, text)), questions=len(examples), found=found)


class _Shared:
    """How much of a question's words, by their rarity in the corpus, stands in a passage."""

    def __init__(self, text: TokenisedText) -> None:
        self.words = [frozenset(words_of(passage)) for passage in text.texts]
        self.titles = [frozenset(words_of(title)) for title in _titles(text)]
        self.passages_with = Counter(word for words in self.words for word in words)

    def best(self, question: str, rows: set[int], least: float) -> list[int]:
        """Of these passages those that share most with the question, if that is enough."""
        known = {word for word in words_of(question) if self.passages_with[word]}
        weights = {word: math.log(len(self.words) / self.passages_with[word]) for word in known}

        def shared(words: frozenset[str]) -> float:
            return sum(weights[word] for word in known & words)

        enough = [row for row in sorted(rows) if shared(self.words[row]) >= least * sum(weights.values())]
        scores = {row: shared(self.words[row]) + shared(self.titles[row]) for row in enough}
        return [row for row, score in scores.items() if score == max(scores.values())]


def _titles(text: TokenisedText) -> list[str]:
    """What stands before the first token of each passage that may be hidden."""
    first_P = [begin + int(np.argmax(text.maskable_N[begin:end])) for begin, end in pairwise(text.starts_P1.tolist())]
    return [passage[: int(text.char_starts_N[first])] for passage, first in zip(text.texts, first_P, strict=True)]


def _longest(places: Sequence[Place]) -> list[Place]:
    """The places that lie in no longer one: "3 May 1898", not its "1898"."""
    return [
        (row, start, end) for row, start, end in dict.fromkeys(places)
        if not any(a <= start and end <= b and (a, b) != (start, end) for _, a, b in places)
    ]  # fmt: skip


def _as_tokens(asked: Sequence[tuple[int, int, tuple[Place, ...]]], text: TokenisedText) -> list[Asked]:
    """As token ranges; without answers that stand where nothing may be hidden, such as in a title."""
    result = []
    for number, row, places in asked:
        begin, end = int(text.starts_P1[row]), int(text.starts_P1[row + 1])
        spans = token_spans(_passage(text, row, begin, end), [[(start, stop) for _, start, stop in sorted(places)]])
        if len(spans):
            result.append(Asked(row=row, spans=tuple((int(a), int(b)) for a, b in spans), question=number))
    return result


def _passage(text: TokenisedText, row: int, begin: int, end: int) -> TokenisedText:
    return TokenisedText(
        texts=[text.texts[row]], tokens_N=text.tokens_N[begin:end], starts_P1=np.array([0, end - begin]),
        char_starts_N=text.char_starts_N[begin:end], char_ends_N=text.char_ends_N[begin:end],
        maskable_N=text.maskable_N[begin:end], word_starts_N=text.word_starts_N[begin:end], vocab_size=text.vocab_size,
    )  # fmt: skip
