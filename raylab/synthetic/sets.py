"""Pairs of sequences as sets: the inputs of Union, Intersect and the two differences."""

from abc import abstractmethod

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, joined, shared
from raylab.synthetic.task import Binary, Lengths, between


class SetOperation(Binary):
    """A task on the tokens of two sequences, whatever their number and order; either may be empty.

    Inputs: the two have a random number of tokens together, of which the first has a random part. Both draw from one pool
    of half as many different symbols (or of all there are), so that they overlap.

    Output: in order of first occurrence, the first sequence's tokens before the second's. The paper's program gives the
    order in which CPython's sets hold the integers.
    """

    __slots__ = ()

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> tuple[Rows, Rows]:
        total_R = between(lengths.shortest - 1, np.full(rows, lengths.longest - 1), rng)
        pool_R = np.minimum(total_R // 2, len(alphabet.symbols_S))
        symbol = alphabet.distinct(rng, pool_R)
        row_N = np.repeat(np.arange(rows), total_R)
        tokens_N = symbol(row_N, between(0, pool_R[row_N] - 1, rng))
        both = Rows.of(tokens_N, total_R)
        cut_R = between(0, total_R, rng)
        in_first_N = both.place < both.spread(cut_R)
        return both.where(in_first_N), both.where(~in_first_N)

    def output(self, x: Rows, q: Rows, alphabet: Alphabet) -> Rows:
        first_x, held_x, first_q, held_q = shared(x, q)
        kept_x, kept_q = self.kept(held_x, held_q)
        return joined(x.where(first_x & kept_x), q.where(first_q & kept_q))

    @abstractmethod
    def kept(self, held_x: np.ndarray, held_q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which tokens of x and of q belong to the output, given which of them the other one holds."""
