"""What a masking policy is given, and what it answers.

Arrays are flat: a batch of R passages is laid end to end into N tokens, so that a policy works on the whole batch at
once, whatever the lengths. Suffixes: N tokens, R passages, R1 = R + 1 boundaries, S spans.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raylab.data.annotation import Annotation
from raylab.registry import Plugin, Registry

MASK = -1  # in Mask.replacement_N: a mask symbol stands in the input, no token


@dataclass(frozen=True, kw_only=True, slots=True)
class Spans:
    """S spans of a batch of passages: first token and one past the last, never crossing a passage, sorted by start."""

    starts_S: np.ndarray
    ends_S: np.ndarray


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

    def needs(self) -> tuple[Annotation, ...]:
        """The annotations of the corpus that `draw` reads; computed once a corpus, cached, shared by all runs."""
        return ()

    @abstractmethod
    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        """The mask of one batch. `progress` in [0, 1] is how far the stage is, for policies with a schedule."""
