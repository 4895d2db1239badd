"""Random spans of clipped geometric length: SpanBERT (Joshi et al. 2020, arXiv 1907.10529)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from raylab.masking.placement import spans_at_random
from raylab.masking.policy import Mask, Passages
from raylab.masking.sampling import mask_of
from raylab.masking.schedule import RatedPolicy, require
from raylab.recipe import knob


@dataclass(frozen=True, kw_only=True, slots=True)
class Span(RatedPolicy):
    """Spans drawn until each passage's budget is spent, the last one cut to it, then placed without overlap.

    A length has probability proportional to (1 - p)^(length - 1) for p = `stop`, up to `longest`; SpanBERT's 0.2 and 10
    give 3.8 on average. unit: what a length counts; SpanBERT hides complete words.
    """

    stop: float = knob(0.2, low=0.1, high=0.5)
    longest: int = 10
    unit: Literal["word", "token"] = "word"

    def __post_init__(self) -> None:
        RatedPolicy.__post_init__(self)
        require(0 < self.stop <= 1, "stop", self.stop, "a probability above 0")
        require(self.longest >= 1, "longest", self.longest, "at least 1")

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        return mask_of(passages, *spans_at_random(passages, self.unit, self.rate_at(progress), self._lengths(), rng))

    def _lengths(self) -> np.ndarray:
        """The probabilities of the lengths 1, 2, ..."""
        weights = (1 - self.stop) ** np.arange(self.longest)
        return weights / weights.sum()
