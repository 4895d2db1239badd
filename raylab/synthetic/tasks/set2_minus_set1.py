"""Difference: the tokens of the second sequence that the first lacks."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.sets import SetOperation


@dataclass(frozen=True, kw_only=True, slots=True)
class Set2MinusSet1(SetOperation):
    """Every token of the second sequence that the first does not hold, once: a b a, b c -> c."""

    def kept(self, held_x: np.ndarray, held_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros_like(held_x), ~held_q
