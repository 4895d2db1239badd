"""Where phrases stand in texts: as whole words, whatever their case and the punctuation between them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from raylab.data.answerable import _END, _WORD, _tree

Place = tuple[int, int, int]  # row of the text, first character, one past the last


def located(phrases: Iterable[str], texts: Sequence[str]) -> Mapping[str, list[Place]]:
    """Every place of every phrase that stands somewhere, under the phrase's key."""
    tree = _tree(phrases)
    places: dict[str, list[Place]] = {}
    for row, text in enumerate(texts):
        for key, start, end in _found(tree, text):
            places.setdefault(key, []).append((row, start, end))
    return places


def key_of(phrase: str) -> str:
    """What two phrases share that are found in the same places: their words, case-folded."""
    return " ".join(words_of(phrase))


def words_of(text: str) -> list[str]:
    """The words of a text, case-folded."""
    return [word.casefold() for word in _WORD.findall(text)]


def _found(tree: dict[str, Any], text: str) -> Iterator[tuple[str, int, int]]:
    words = [(match.group().casefold(), match.start(), match.end()) for match in _WORD.finditer(text)]
    for first in range(len(words)):
        node: dict[str, Any] | None = tree
        for last in range(first, len(words)):
            node = node.get(words[last][0]) if node else None
            if node is None:
                break
            if _END in node:
                yield " ".join(word for word, _, _ in words[first : last + 1]), words[first][1], words[last][2]
