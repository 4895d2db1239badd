"""The rate of a masking policy, and how it changes over a stage: what every policy that defines a rate has in common."""

import math
from dataclasses import dataclass
from typing import Literal

from raylab.errors import UserError
from raylab.masking.policy import Policy
from raylab.recipe import knob


def require(holds: bool, name: str, got: object, expected: str) -> None:
    """Raise UserError unless a policy's field is within its limits."""
    if not holds:
        raise UserError(f"the masking policy's {name} is {got!r}; expected {expected}. Change it where the policy is set.")


@dataclass(frozen=True, kw_only=True, slots=True)
class RatedPolicy(Policy):
    """A policy that hides a share `rate` of the maskable tokens of every batch.

    schedule: "constant"; "linear" goes from `rate` at the stage's start to `rate_end` at its end; "cyclic" starts at
    `rate` and swings to `rate_end` and back `cycles` times, along a cosine. A schedule keeps the mean amount of
    training signal comparable only if the mean of `rate` and `rate_end` is.
    """

    rate: float = knob(0.15, low=0.05, high=0.60)
    schedule: Literal["constant", "linear", "cyclic"] = "constant"
    rate_end: float = 0.15
    cycles: int = 4

    def __post_init__(self) -> None:
        for name in ("rate", "rate_end"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share between 0 and 1")
        require(self.cycles >= 1, "cycles", self.cycles, "at least 1")

    def rate_at(self, progress: float) -> float:
        """The rate when a share `progress` of the stage is done."""
        if self.schedule == "constant":
            return self.rate
        linear = self.schedule == "linear"
        way = progress if linear else (1 - math.cos(2 * math.pi * self.cycles * progress)) / 2
        return self.rate + (self.rate_end - self.rate) * way
