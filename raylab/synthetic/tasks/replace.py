"""Replace: every occurrence of one token by another."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, firsts
from raylab.synthetic.task import Binary, Lengths, between, uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class Replace(Binary):
    """The query is a key and a value; every key becomes the value: a b a c, a d -> d b d c.

    Inputs: random sequences; the key is a random one of the sequence's different tokens, the value a random symbol.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> tuple[Rows, Rows]:
        x = uniform(between(lengths.shortest - 3, np.full(rows, lengths.longest - 3), rng), alphabet, rng)
        different = x.where(firsts(x))
        keys_R = different.tokens_N[different.starts_R1[:-1] + between(0, different.sizes - 1, rng)]
        q = np.stack([keys_R, alphabet.draw(rng, rows)], axis=1)
        return x, Rows.of(q.ravel(), np.full(rows, 2))

    def output(self, x: Rows, q: Rows, alphabet: Alphabet) -> Rows:
        keys_R, values_R = q.tokens_N.reshape(-1, 2).T
        return Rows(tokens_N=np.where(x.tokens_N == x.spread(keys_R), x.spread(values_R), x.tokens_N), starts_R1=x.starts_R1)
