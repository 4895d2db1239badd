"""Text infilling: BART's Poisson spans, each one mask symbol whatever its length (Lewis et al. 2020, arXiv 1910.13461)."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from raylab.masking.placement import spans_at_random
from raylab.masking.policy import Mask, Passages
from raylab.masking.sampling import mask_of
from raylab.masking.schedule import RatedPolicy, require
from raylab.recipe import knob


@dataclass(frozen=True, kw_only=True, slots=True)
class Infilling(RatedPolicy):
    """Spans of Poisson length until each passage's budget is spent, the last one cut to it, placed without overlap.

    A span of length 0 hides nothing: a mask symbol is inserted before a word, and the model has to find out that
    nothing is missing there. Empty spans don't count towards the rate. unit: what a length counts.
    """

    inserts: ClassVar[bool] = True
    rate: float = knob(0.30, low=0.05, high=0.60)
    rate_end: float = 0.30
    mean_length: float = knob(3.0, low=1.0, high=8.0)
    unit: Literal["word", "token"] = "word"

    def __post_init__(self) -> None:
        RatedPolicy.__post_init__(self)
        require(0 < self.mean_length <= 100, "mean_length", self.mean_length, "a number above 0 and at most 100")

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        starts_S, ends_S = spans_at_random(passages, self.unit, self.rate_at(progress), self._lengths(), rng)
        mask = mask_of(passages, starts_S, ends_S)
        empty = len(starts_S) * np.exp(-self.mean_length) / -np.expm1(-self.mean_length)
        return replace(mask, inserted_N=self._inserted(passages, mask, empty, rng))

    def _lengths(self) -> np.ndarray:
        """The probabilities of the lengths 1, 2, ..., given that a span is not empty; what lies 10 sd out is left out."""
        weights = np.cumprod(self.mean_length / np.arange(1, 11 + self.mean_length + 10 * self.mean_length**0.5))
        return weights / weights.sum()

    def _inserted(self, passages: Passages, mask: Mask, expected: float, rng: np.random.Generator) -> np.ndarray:
        """Where the empty spans stand: before words at random, never inside a span."""
        inserted_N = np.zeros_like(mask.hidden_N)
        places = np.flatnonzero(passages.word_starts_N & passages.maskable_N & (mask.begins_N | ~mask.hidden_N))
        count = min(int(expected + rng.random()), len(places))
        inserted_N[rng.choice(places, size=count, replace=False)] = True
        return inserted_N
