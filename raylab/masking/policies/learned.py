"""Spans that a learned policy expects to be asked about (Ye et al. 2021, arXiv 2104.08840; raylab/masking/learned/)."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from raylab.data.annotation import Annotation
from raylab.data.annotations.learned import Learned as LearnedSpans
from raylab.masking.policy import Mask, Passages, Policy, Spans
from raylab.masking.sampling import mask_of, ordered, picked
from raylab.masking.schedule import require
from raylab.recipe import NOT_IN_KEY, knob

LEARNERS = ("supervised", "meta")  # ways to learn a policy: by these names a search knows those that it learns itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned(Policy):
    """One span of a passage, or a few, drawn among its `top` best without replacement, with odds p^(1 / temperature).

    It defines no rate. product: the policy's key; path: the folder of its card, where it is not a product beside the data.
    learner: how it was learned, for people. A search names it by that, or by its card (--policy PATH). Its corpus is read
    once, so that masking costs what salient masking costs.
    """

    product: str = ""
    learner: str = field(default="", compare=False, metadata=NOT_IN_KEY)
    path: str = field(default="", compare=False, metadata=NOT_IN_KEY)
    top: int = knob(5, choices=(1, 2, 5))
    spans: int = knob(1, choices=(1, 2, 4))
    temperature: float = knob(1.0, low=0.25, high=4.0, log=True)
    searched: ClassVar[Literal["always", "named", "never"]] = "named"

    def __post_init__(self) -> None:
        require(self.top >= 1, "top", self.top, "at least 1")
        require(self.spans >= 1, "spans", self.spans, "at least 1")
        require(self.temperature > 0, "temperature", self.temperature, "a positive number")

    def needs(self) -> tuple[Annotation, ...]:
        return (LearnedSpans(product=self.product, path=self.path),)

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        found = passages.spans[self.needs()[0]]
        return drawn(passages, found, top=self.top, count=self.spans, temperature=self.temperature, rng=rng)


def drawn(passages: Passages, found: Spans, *, top: int, count: int, temperature: float, rng: np.random.Generator) -> Mask:
    """Hide `count` of the `top` best spans of each passage, drawn without replacement (the Gumbel top-k trick, Kool et al.
    2019); any of them with equal odds where they have no scores."""
    bounds_R1 = np.searchsorted(found.starts_S, passages.starts_R1)
    found_R = np.diff(bounds_R1)
    if found.scores_S is None:
        hidden_S = np.flatnonzero(picked(found_R, np.minimum(found_R, count), rng))
    else:
        best_S = _ranks(-found.scores_S, bounds_R1) < top
        arrival_S = np.log(rng.standard_exponential(len(best_S))) - found.scores_S / temperature
        hidden_S = np.flatnonzero(_ranks(np.where(best_S, arrival_S, _last(arrival_S)), bounds_R1) < np.minimum(count, top))
    return mask_of(passages, found.starts_S[hidden_S], found.ends_S[hidden_S])


def _ranks(keys_S: np.ndarray, bounds_R1: np.ndarray) -> np.ndarray:
    """The place of each key in the order of its passage, from 0."""
    ranks_S = np.empty(len(keys_S), dtype=np.int64)
    ranks_S[ordered(keys_S, bounds_R1)] = np.arange(len(keys_S)) - np.repeat(bounds_R1[:-1], np.diff(bounds_R1))
    return ranks_S


def _last(keys_S: np.ndarray) -> float:
    """A key behind all others."""
    return float(keys_S.max(initial=0.0)) + 1.0
