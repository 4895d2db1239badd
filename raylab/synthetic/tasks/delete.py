"""Delete: x without the first occurrence of the query."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.queries import sequences_with_queries
from raylab.synthetic.rows import Rows, first_match
from raylab.synthetic.task import Binary, Lengths

CONTAINED = 0.75


@dataclass(frozen=True, kw_only=True, slots=True)
class Delete(Binary):
    """The sequence without the first place where the query stands without a gap: a b c b c, b c -> a b c. A sequence that
    does not hold the query stays as it is.

    Inputs: raylab.synthetic.queries; three quarters of the queries stand in their sequence.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> tuple[Rows, Rows]:
        return sequences_with_queries(rows, CONTAINED, alphabet, lengths, rng)

    def output(self, x: Rows, q: Rows, alphabet: Alphabet) -> Rows:
        found_R = first_match(x, q)
        behind_N = x.place - x.spread(found_R)
        return x.where(x.spread(found_R < 0) | (behind_N < 0) | (behind_N >= x.spread(q.sizes)))
