"""What a masking policy is given, and what it answers.

Arrays are flat: a batch of R passages is laid end to end into N tokens, so that a policy works on the whole batch at
once, whatever the lengths. Suffixes: N tokens, R passages, R1 = R + 1 boundaries, S spans.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from raylab.data.annotation import Annotation
from raylab.registry import Plugin, Registry

MASK = -1  # in Mask.replacement_N: a mask symbol stands in the input, no token


@dataclass(frozen=True, kw_only=True, slots=True)
class Spans:
    """S spans of a batch of passages: first token and one past the last, never crossing a passage, sorted by start.

    scores_S: for scored spans (raylab.data.annotation), else None.
    """

    starts_S: np.ndarray
    ends_S: np.ndarray
    scores_S: np.ndarray | None = None


def spans_of(found_S: np.ndarray, shift_S: np.ndarray | int = 0) -> Spans:
    """The spans of an annotation's rows, (S, 2) or (S, 3), moved by so many tokens."""
    places_S2 = found_S[:, :2].astype(np.int64)
    return Spans(
        starts_S=places_S2[:, 0] + shift_S, ends_S=places_S2[:, 1] + shift_S,
        scores_S=found_S[:, 2] if found_S.shape[1] > 2 else None,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Passages:
    """R tokenised passages of a batch, laid end to end.

    tokens_N: token ids. starts_R1: where each passage begins; the last entry is N. maskable_N: False for tokens no
    policy may hide (special tokens, the title set before a passage). word_starts_N: True where a word begins.
    spans and weights: cached annotations (spans; one float32 a token), for those the policy said it needs.
    """

    tokens_N: np.ndarray
    starts_R1: np.ndarray
    maskable_N: np.ndarray
    word_starts_N: np.ndarray
    vocab_size: int
    spans: Mapping[Annotation, Spans]
    weights: Mapping[Annotation, np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mask:
    """What is hidden.

    hidden_N: True for hidden tokens. begins_N: True for the hidden tokens that begin a span (two hidden neighbours are
    one span unless the second begins its own). inserted_N: True where an empty span stands before a token (text
    infilling draws length 0), or None. replacement_N: the token that stands in the input for each hidden one (a random
    one, or the token itself), or MASK; None where all are MASK.
    """

    hidden_N: np.ndarray
    begins_N: np.ndarray
    inserted_N: np.ndarray | None = None
    replacement_N: np.ndarray | None = None


class Policy(Plugin):
    """A masking policy: a frozen dataclass whose fields are its knobs, in a file of its own."""

    __slots__ = ()
    registry: ClassVar[Registry] = Registry("masking policy", "raylab.masking.policies")
    searched: ClassVar[Literal["always", "named", "never"]] = "always"  # by a search: by default, if it is named, or never
    inserts: ClassVar[bool] = False  # whether it sets mask symbols where nothing is hidden, which an encoder cannot be asked

    def needs(self) -> tuple[Annotation, ...]:
        """The annotations of the corpus that `draw` reads; computed once a corpus, cached, shared by all runs."""
        return ()

    @abstractmethod
    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        """The mask of one batch. `progress` in [0, 1] is how far the stage is, for policies with a schedule."""


def policies_by_default() -> tuple[str, ...]:
    """The policies that a search tries where none is named, sorted: those that need nothing but a corpus."""
    return tuple(name for name in Policy.registry.names() if Policy.registry.get(name).searched == "always")
