"""Salient spans: the names, dates and quantities of a passage (REALM, Guu et al. 2020, arXiv 2002.08909).

A tagger gives character ranges of a text; they become ranges of tokens. The rule-based one needs nothing installed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.annotations._rules import tag_by_rules
from raylab.errors import UserError

Ranges = list[tuple[int, int]]
Tagger = Callable[[Sequence[str]], Iterable[Ranges]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Salient(Annotation):
    """tagger: "rules", or the name of an installed spaCy pipeline, of which all entities count."""

    tagger: str = "rules"
    gives: ClassVar[str] = "spans"

    def compute(self, text: TokenisedText) -> np.ndarray:
        """Int64 (S, 2): first token and one past the last of each span."""
        tag: Tagger = tag_by_rules if self.tagger == "rules" else _spacy(self.tagger)
        return token_spans(text, list(tag(text.texts)))


def token_spans(text: TokenisedText, ranges: Sequence[Ranges]) -> np.ndarray:
    """The tokens that touch each character range: sorted, maskable, without those that overlap an earlier one."""
    # One axis for all passages: each is set off by the length of those before it, and one character between.
    offsets_P = np.cumsum([0, *(len(t) + 1 for t in text.texts)])[:-1]
    of_token = np.repeat(offsets_P, np.diff(text.starts_P1))
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(ranges)), dtype=np.int64).reshape(-1, 2)
    flat += np.repeat(offsets_P, [len(r) for r in ranges])[:, None]
    firsts = np.searchsorted(text.char_ends_N + of_token, flat[:, 0], side="right")
    ends = np.searchsorted(text.char_starts_N + of_token, flat[:, 1], side="left")
    forbidden = np.concatenate([[0], np.cumsum(~text.maskable_N)])
    good = (firsts < ends) & (forbidden[np.maximum(ends, firsts)] == forbidden[firsts])
    spans_S2 = np.stack([firsts[good], ends[good]], axis=1)
    return apart(spans_S2)


def apart(spans_S2: np.ndarray) -> np.ndarray:
    """Sorted spans without those that overlap an earlier one."""
    reached = np.maximum.accumulate(spans_S2[:, 1])
    return spans_S2[spans_S2[:, 0] >= np.concatenate([[0], reached[:-1]])[: len(spans_S2)]]


def _spacy(name: str) -> Tagger:
    pipeline = _load(name)

    def tag(texts: Sequence[str]) -> Iterator[Ranges]:
        for document in pipeline.pipe(texts):
            yield [(entity.start_char, entity.end_char) for entity in document.ents]

    return tag


def _load(name: str) -> Any:
    try:
        import spacy

        return spacy.load(name, exclude=["parser", "lemmatizer", "attribute_ruler", "tagger"])
    except (ImportError, OSError) as error:
        raise UserError(
            f"tagger {name!r} cannot be loaded; expected 'rules' or a spaCy pipeline that is installed. "
            f"Run `pip install spacy` and `python -m spacy download {name}`, or set tagger to 'rules'."
        ) from error
