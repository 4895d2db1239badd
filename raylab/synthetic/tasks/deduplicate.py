"""Deduplicate: runs of one token become one token."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Lengths, Unary, between, in_parts


@dataclass(frozen=True, kw_only=True, slots=True)
class Deduplicate(Unary):
    """Every run of equal tokens as one token: a a b b b a -> a b a.

    Inputs: of random length L, in a random number of parts from 1 to L, each part one random token repeated. Parts are a
    random composition of L: one token each, every other token to a random part.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Rows:
        sizes_R = between(lengths.shortest, np.full(rows, lengths.longest), rng)
        parts, sizes_K = in_parts(sizes_R, between(1, sizes_R, rng), rng)
        return Rows(tokens_N=np.repeat(alphabet.draw(rng, len(sizes_K)), sizes_K), starts_R1=parts.starts_R1)

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        differs_N = np.ones(len(x.tokens_N), bool)
        differs_N[1:] = x.tokens_N[1:] != x.tokens_N[:-1]
        return x.where(differs_N | (x.place == 0))
