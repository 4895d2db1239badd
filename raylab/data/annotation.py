"""Annotations: what is computed once about a corpus, cached beside its tokens, and read by masking policies."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from raylab.registry import Plugin, Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenisedText:
    """P passages as text and as tokens, laid end to end into N tokens.

    starts_P1: where each passage's tokens begin; the last entry is N. char_starts_N, char_ends_N: the characters of
    its passage's text that a token covers (equal where it covers none). maskable_N, word_starts_N: as in
    raylab.masking.policy.Passages. folder: of the prepared task that the passages are of; None for loose text.
    """

    texts: Sequence[str]
    tokens_N: np.ndarray
    starts_P1: np.ndarray
    char_starts_N: np.ndarray
    char_ends_N: np.ndarray
    maskable_N: np.ndarray
    word_starts_N: np.ndarray
    vocab_size: int
    folder: Path | None = None


class Annotation(Plugin):
    """One kind of annotation: a frozen dataclass whose fields are its settings, in a file of its own.

    It gives either spans, an integer array (S, 2) of first token and one past the last, sorted, none crossing a
    passage and all tokens maskable, or weights, a float32 array (N,). Spans may have a score each: a float64 array (S, 3),
    which holds any place in a corpus exactly. `version` is raised when its results change; a field that does not decide
    them is NOT_IN_KEY.
    """

    __slots__ = ()
    registry: ClassVar[Registry] = Registry("annotation", "raylab.data.annotations")
    gives: ClassVar[str]  # "spans" or "weights"
    version: ClassVar[int] = 1

    @abstractmethod
    def compute(self, text: TokenisedText) -> np.ndarray:
        """The annotation of a whole corpus."""
