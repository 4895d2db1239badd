"""Union: the tokens of both sequences."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.sets import SetOperation


@dataclass(frozen=True, kw_only=True, slots=True)
class Union(SetOperation):
    """Every token that either sequence holds, once: a b a, b c -> a b c."""

    def kept(self, held_x: np.ndarray, held_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.ones_like(held_x), ~held_q
