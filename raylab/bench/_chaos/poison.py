"""A masking policy that kills the process that draws from it: a recipe that no lane survives."""

import os
import signal
from dataclasses import dataclass

import numpy as np

from raylab.masking.policy import Mask, Passages, Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Poison(Policy):
    """SIGKILL to itself, every time."""

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still here")
