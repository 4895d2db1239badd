"""Span corruption: T5's fixed number of noise spans of a given mean length (Raffel et al. 2020, arXiv 1910.10683)."""

from dataclasses import dataclass

import numpy as np

from raylab.masking.placement import first_units, separate_gaps, split_at_random
from raylab.masking.policy import Mask, Passages
from raylab.masking.sampling import budgets, mask_of, tokens
from raylab.masking.schedule import RatedPolicy, require
from raylab.recipe import knob


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanCorruption(RatedPolicy):
    """Of every passage a fixed number of tokens in a fixed number of spans: budget / mean_length, both rounded at random.

    The hidden tokens are split into that many spans uniformly over all ways to do so, and the spans stand uniformly
    over all ways that leave a visible token between them. Other than in T5's own code, which ends every sequence in a
    hidden span and begins it with a visible one, both ends of a passage may be either.
    """

    mean_length: float = knob(3.0, low=1.0, high=8.0)

    def __post_init__(self) -> None:
        RatedPolicy.__post_init__(self)
        require(self.mean_length >= 1, "mean_length", self.mean_length, "at least 1 token")

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        units = tokens(passages)
        maskable_R = np.diff(units.bounds_R1)
        hidden_R = budgets(maskable_R * self.rate_at(progress), rng)
        fewest_R, most_R = np.minimum(hidden_R, 1), np.minimum(hidden_R, maskable_R - hidden_R + 1)
        spans_R = np.clip(budgets(hidden_R / self.mean_length, rng), fewest_R, most_R)
        lengths_S = split_at_random(hidden_R, spans_R, rng)
        first_S = first_units(units, lengths_S, spans_R, separate_gaps(maskable_R - hidden_R, spans_R, rng))
        return mask_of(passages, units.starts_U[first_S], units.ends_U[first_S + lengths_S - 1])
