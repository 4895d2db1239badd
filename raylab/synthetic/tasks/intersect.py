"""Intersect: the tokens that both sequences hold."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.sets import SetOperation


@dataclass(frozen=True, kw_only=True, slots=True)
class Intersect(SetOperation):
    """Every token that both sequences hold, once: a b a, b c -> b."""

    def kept(self, held_x: np.ndarray, held_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return held_x, np.zeros_like(held_q)
