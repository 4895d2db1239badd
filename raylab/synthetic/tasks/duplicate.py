"""Duplicate: every token twice."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Unary


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate(Unary):
    """Every token twice in a row: a b -> a a b b."""

    growth: ClassVar[int] = 2

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        return Rows(tokens_N=np.repeat(x.tokens_N, 2), starts_R1=2 * x.starts_R1)
