"""LIME's deduction: a pattern and its rules -> the result."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.lime import asked, derivations
from raylab.synthetic.task import Lengths, Pairs, SyntheticTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Deduct(SyntheticTask):
    """What the rules make of the pattern: A + B, A : [ x y ] B : [ z - ] -> x y + z -. See raylab.synthetic.lime."""

    def draw(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Pairs:
        one = derivations(rows, alphabet, lengths, rng)
        return asked(one.symbols, one.pattern, one.rules, one.result, alphabet)
