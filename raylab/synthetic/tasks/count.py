"""Count: how often the query's token stands in x."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, shuffled
from raylab.synthetic.task import Binary, Lengths, between, uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class Count(Binary):
    """The number of occurrences of one token, as decimal text: a b a, a -> 2.

    Inputs: of n tokens a random number from 0 to n are the query, the others random (and so can be the query as well),
    all shuffled.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> tuple[Rows, Rows]:
        sizes_R = between(lengths.shortest - 2, np.full(rows, lengths.longest - 2), rng)
        q = uniform(np.ones(rows, np.int64), alphabet, rng)
        x = uniform(sizes_R, alphabet, rng)
        asked_N = x.place < x.spread(between(0, sizes_R, rng))
        return shuffled(Rows(tokens_N=np.where(asked_N, x.spread(q.tokens_N), x.tokens_N), starts_R1=x.starts_R1), rng), q

    def output(self, x: Rows, q: Rows, alphabet: Alphabet) -> Rows:
        return alphabet.decimals(x.counts(x.tokens_N == x.spread(q.tokens_N)))
