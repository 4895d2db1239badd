"""One span of a passage, anywhere: what a learned policy draws before it has learned anything (raylab/masking/learned/)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from raylab.masking.policy import Mask, Passages, Policy
from raylab.masking.sampling import bounds, mask_of
from raylab.masking.schedule import require


@dataclass(frozen=True, kw_only=True, slots=True)
class AnySpan(Policy):
    """One span of a passage: of all spans of at most `longest` tokens each is as likely as any other.

    It defines no rate. It is where meta-learning begins, and so what meta-learned masking is held against.
    """

    longest: int = 10
    searched: ClassVar[Literal["always", "named", "never"]] = "named"

    def __post_init__(self) -> None:
        require(self.longest >= 1, "longest", self.longest, "at least 1")

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        spans_N = np.minimum(_room(passages), self.longest)  # that begin at each token
        before_N1 = bounds(spans_N)
        first_R, end_R = before_N1[passages.starts_R1[:-1]], before_N1[passages.starts_R1[1:]]
        drawn_S = (first_R + np.floor(rng.random(len(first_R)) * (end_R - first_R)).astype(np.int64))[end_R > first_R]
        starts_S = np.searchsorted(before_N1, drawn_S, side="right") - 1
        return mask_of(passages, starts_S, starts_S + 1 + drawn_S - before_N1[starts_S])


def _room(passages: Passages) -> np.ndarray:
    """How many tokens may be hidden from each token on, without a gap."""
    place_N = np.arange(len(passages.tokens_N))
    kept = np.append(np.flatnonzero(~passages.maskable_N), len(place_N))
    next_kept_N = kept[np.searchsorted(kept, place_N)]
    next_passage_N = passages.starts_R1[np.searchsorted(passages.starts_R1, place_N, side="right")]
    room_N: np.ndarray = np.minimum(next_kept_N, next_passage_N) - place_N
    return room_N
