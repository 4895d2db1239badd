"""LIME's induction: a result and its rules -> the pattern."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.lime import asked, derivations
from raylab.synthetic.task import Lengths, Pairs, SyntheticTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Induct(SyntheticTask):
    """The pattern of which the rules made the result: x y + z -, A : [ x y ] B : [ z - ] -> A + B. See raylab.synthetic.lime."""

    def draw(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Pairs:
        one = derivations(rows, alphabet, lengths, rng)
        return asked(one.symbols, one.result, one.rules, one.pattern, alphabet)
