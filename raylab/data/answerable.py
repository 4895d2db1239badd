"""Which questions a corpus can answer at all: those of which an alias stands in it as whole words.

The test is that of open-domain question answering (Chen et al. 2017, arXiv 1704.00051, "has answer"; Karpukhin et al.
2020, arXiv 2004.04906): words compared without case, punctuation between them ignored. All aliases are looked for at
once, in one walk over the corpus along a tree of their words.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from raylab.data.task import Question

_WORD = re.compile(r"(?<![^\W_])\.?\d+(?:[.,]\d+)*(?![^\W_])|[^\W_]+")  # ".5" and "1,200" are words, not 5 and 200
_END = ""  # no word is empty, so this key marks where an alias ends


class Occurrences:
    """How often each of some phrases stands in a text, as written and without regard to case."""

    def __init__(self, phrases: Iterable[str], texts: Iterable[str]) -> None:
        tree = _tree(phrases)
        self._as_written: Counter[str] = Counter()
        for text in texts:
            self._as_written.update(_found(tree, _WORD.findall(text)))
        self._folded: Counter[str] = Counter()
        for phrase, count in self._as_written.items():
            self._folded[phrase.casefold()] += count

    def count(self, phrase: str) -> tuple[int, int]:
        """(occurrences with the phrase's own capitals, occurrences with any)."""
        written = " ".join(_WORD.findall(phrase))
        return self._as_written[written], self._folded[written.casefold()]


def occurrences(examples: Iterable[Question], texts: Iterable[str]) -> Occurrences:
    """The counts of all the examples' aliases in the texts."""
    return Occurrences({alias for example in examples for alias in example.answers}, texts)


def answerable(example: Question, counts: Occurrences) -> bool:
    """Whether an alias of the example stands in the corpus."""
    return any(counts.count(alias)[1] for alias in example.answers)


def with_canonical_answer(example: Question, counts: Occurrences) -> Question:
    """The example with the canonical answer that bits per answer are counted of.

    It is `answer` where the corpus has it as written; else the alias the corpus has most often (as written; then in
    any case), since a model can only be expected to give a name it has read. An example of which the corpus has no
    alias stays as it is.
    """
    if counts.count(example.answer)[0] or not answerable(example, counts):
        return example
    candidates = dict.fromkeys((example.answer, *example.answers))  # the first of equals wins
    return replace(example, answer=max(candidates, key=counts.count))


def _tree(phrases: Iterable[str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for phrase in phrases:
        node = root
        for word in _WORD.findall(phrase):
            node = node.setdefault(word.casefold(), {})
        node[_END] = True
    root.pop(_END, None)  # a phrase without words (a flag, a sign) is nowhere
    return root


def _found(tree: dict[str, Any], words: list[str]) -> Iterable[str]:
    """Every phrase of the tree that begins at any of the words, as written in the text."""
    folded = [word.casefold() for word in words] + [_END]  # an end no branch has, so that the walk stops by itself
    for start, first in enumerate(folded[:-1]):
        node, end = tree.get(first), start + 1
        while node is not None:
            if _END in node:
                yield " ".join(words[start:end])
            node, end = (node.get(folded[end]) if folded[end] else None), end + 1
