"""LIME's abduction: a pattern and its result -> the rules."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.lime import asked, derivations
from raylab.synthetic.task import Lengths, Pairs, SyntheticTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Abduct(SyntheticTask):
    """The rules that made the result of the pattern: A + B, x y + z - -> A : [ x y ] B : [ z - ]. See raylab.synthetic.lime."""

    def draw(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Pairs:
        one = derivations(rows, alphabet, lengths, rng)
        return asked(one.symbols, one.pattern, one.result, one.rules, alphabet)
