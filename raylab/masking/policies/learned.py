"""Spans that a learned policy expects to be asked about (Ye et al. 2021, arXiv 2104.08840; raylab/masking/learned/)."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from raylab.data.annotation import Annotation
from raylab.data.annotations.learned import Learned as LearnedSpans
from raylab.masking.policy import Mask, Passages, Policy, Spans
from raylab.masking.sampling import mask_of, picked
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
    if found.scores_S is None:
        found_R = np.diff(bounds_R1)
        hidden_S = np.flatnonzero(picked(found_R, np.minimum(found_R, count), rng))
    else:
        arrival_S = np.log(rng.standard_exponential(len(found.scores_S))) - found.scores_S / temperature
        best_RK = _lowest(_rows(-found.scores_S, bounds_R1), top)
        drawn_RK = _lowest(np.take_along_axis(_rows(arrival_S, bounds_R1), best_RK, axis=1), count)
        place_RK = np.take_along_axis(best_RK, drawn_RK, axis=1)
        there_RK = place_RK < np.diff(bounds_R1)[:, None]
        hidden_S = np.sort((bounds_R1[:-1, None] + place_RK)[there_RK])
    return mask_of(passages, found.starts_S[hidden_S], found.ends_S[hidden_S])


def _rows(keys_S: np.ndarray, bounds_R1: np.ndarray) -> np.ndarray:
    """The keys of each passage in a row, (R, W), infinity behind them. Rows are short: to sort them side by side takes a
    fraction of one long sort."""
    found_R = np.diff(bounds_R1)
    there_RW = np.arange(found_R.max(initial=0)) < found_R[:, None]
    keys_RW = np.full(there_RW.shape, np.inf)
    keys_RW[there_RW] = keys_S
    return keys_RW


def _lowest(keys_RW: np.ndarray, count: int) -> np.ndarray:
    """The places of the `count` lowest keys of each row, (R, K), or of all where there are no more."""
    if count >= keys_RW.shape[1]:
        return np.broadcast_to(np.arange(keys_RW.shape[1]), keys_RW.shape)
    lowest_RK: np.ndarray = np.argpartition(keys_RW, count - 1, axis=1)[:, :count]
    return lowest_RK
