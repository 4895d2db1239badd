"""Search: does the query stand in x?"""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.queries import sequences_with_queries
from raylab.synthetic.rows import Rows, first_match
from raylab.synthetic.task import Binary, Lengths

CONTAINED = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Search(Binary):
    """Whether the query stands in the sequence without a gap: a b c d, b c -> yes; a b c d, b d -> no.

    Inputs: raylab.synthetic.queries; half of the queries stand in their sequence.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> tuple[Rows, Rows]:
        return sequences_with_queries(rows, CONTAINED, alphabet, lengths, rng)

    def output(self, x: Rows, q: Rows, alphabet: Alphabet) -> Rows:
        answers, found_R = alphabet.yes_or_no, (first_match(x, q) >= 0).astype(np.int64)
        return answers.slices(answers.starts_R1[found_R], answers.sizes[found_R])
