"""Difference: the tokens of the first sequence that the second lacks."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.sets import SetOperation


@dataclass(frozen=True, kw_only=True, slots=True)
class Set1MinusSet2(SetOperation):
    """Every token of the first sequence that the second does not hold, once: a b a, b c -> a."""

    def kept(self, held_x: np.ndarray, held_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return ~held_x, np.zeros_like(held_q)
