"""Set: every token once."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, firsts, shuffled
from raylab.synthetic.task import Lengths, Unary
from raylab.synthetic.tasks.deduplicate import Deduplicate


@dataclass(frozen=True, kw_only=True, slots=True)
class Set(Unary):
    """Every token once, in order of first occurrence: a b a c b -> a b c.

    Inputs: those of Deduplicate, shuffled.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Rows:
        return shuffled(Deduplicate().inputs(rows, alphabet, lengths, rng), rng)

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        return x.where(firsts(x))
