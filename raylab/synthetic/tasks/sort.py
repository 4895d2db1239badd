"""Sort: x in the order that the query gives."""

from dataclasses import dataclass

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, last_places, shuffled
from raylab.synthetic.task import Binary, Lengths, between, in_parts, uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class Sort(Binary):
    """The sequence's tokens in the order of the query's: c a b a, b a c -> b a a c. Of a token that the query holds twice,
    the last place counts.

    Inputs: the query is a random sequence, from half the shortest to half the longest payload. The sequence is no shorter;
    it is a random composition (as in Deduplicate) into as many parts as the query is long, each of them one random token
    of the query repeated, shuffled.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> tuple[Rows, Rows]:
        room = lengths.longest - 1
        asked_R = between(lengths.shortest // 2, np.full(rows, room // 2), rng)
        sizes_R = between(np.maximum(asked_R, lengths.shortest - 1 - asked_R), room - asked_R, rng)
        q = uniform(asked_R, alphabet, rng)
        parts, sizes_K = in_parts(sizes_R, asked_R, rng)
        chosen_K = np.repeat(q.starts_R1[:-1], asked_R) + between(0, np.repeat(asked_R, asked_R) - 1, rng)
        x = Rows(tokens_N=np.repeat(q.tokens_N[chosen_K], sizes_K), starts_R1=parts.starts_R1)
        return shuffled(x, rng), q

    def output(self, x: Rows, q: Rows, alphabet: Alphabet) -> Rows:
        widest = int(q.sizes.max(initial=1))
        ranks_N = np.sort(x.row * widest + last_places(x, q)) - x.row * widest
        return Rows(tokens_N=q.tokens_N[x.spread(q.starts_R1[:-1]) + ranks_N], starts_R1=x.starts_R1)
