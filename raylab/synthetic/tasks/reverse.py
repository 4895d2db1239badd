"""Reverse: x -> x from its end to its start."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Unary


@dataclass(frozen=True, kw_only=True, slots=True)
class Reverse(Unary):
    """The sequence backwards: a b c -> c b a."""

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        mirrored_N = x.spread(x.starts_R1[:-1] + x.starts_R1[1:] - 1) - np.arange(len(x.tokens_N))
        return Rows(tokens_N=x.tokens_N[mirrored_N], starts_R1=x.starts_R1)
