"""Sequences with a query that stands in some of them: the inputs of the tasks Search and Delete."""

import numpy as np

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, first_match
from raylab.synthetic.task import Lengths, between, uniform

_TRIES = 20  # for a sequence that holds a query by chance; with very few symbols some do in the end


def sequences_with_queries(
    rows: int, share: float, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Random sequences and queries at most half as long, a share of which stand in their sequence.

    The query's length is random from 1 to a third of what a payload holds, the sequence's from twice that on. Where the
    query is to stand in the sequence, it does a random number of times, from once to as often as it fits, with random
    numbers of random tokens around it. Elsewhere both are random, without the query in the sequence.

    The paper's program draws a query that is not contained longer than most others (from 10 tokens on, 1 % of them longer
    than the sequence), and draws again what does not fit, which leaves 60 % of searches and 82 % of deletions with
    the query in the sequence. Here, lengths are drawn alike for both, so that they do not give the answer away, and the
    shares are those that are meant, 50 % and 75 %.
    """
    room = lengths.longest - 1
    asked_R = between(1, np.full(rows, room // 3), rng)
    least_R = np.maximum(2 * asked_R, lengths.shortest - 1 - asked_R)
    sizes_R = between(least_R, room - asked_R, rng)
    x, q = uniform(sizes_R, alphabet, rng), uniform(asked_R, alphabet, rng)
    positive_R = rng.random(rows) < share
    _insert(x, q, np.where(positive_R, between(1, sizes_R // asked_R, rng), 0), rng)
    for _ in range(_TRIES):
        chance_N = x.spread(~positive_R & (first_match(x, q) >= 0))
        if not chance_N.any():
            break
        x.tokens_N[chance_N] = alphabet.draw(rng, int(chance_N.sum()))
    return x, q


def _insert(x: Rows, q: Rows, times_R: np.ndarray, rng: np.random.Generator) -> None:
    """Overwrite each sequence with its query so many times, with a random composition of the other tokens around it."""
    free_R = x.sizes - times_R * q.sizes
    gap = Rows.of(np.zeros(int(free_R.sum()), np.int64), free_R)
    # gaps may be empty: which of them each free token lies in, at random
    starts_G = np.concatenate([[0], np.cumsum(times_R + 1)])
    gap_N = (rng.random(len(gap.tokens_N)) * gap.spread(times_R + 1)).astype(np.int64) + gap.spread(starts_G[:-1])
    sizes_G = np.bincount(gap_N, minlength=starts_G[-1])
    last_G = np.zeros(starts_G[-1], bool)
    last_G[starts_G[1:] - 1] = True
    row_G = np.repeat(np.arange(len(x)), times_R + 1)
    ends_G = np.cumsum(sizes_G + np.where(last_G, 0, q.sizes[row_G]))
    row_O = row_G[~last_G]
    wanted = q.slices(q.starts_R1[row_O], q.sizes[row_O])
    x.tokens_N[wanted.place + wanted.spread(ends_G[~last_G] - wanted.sizes)] = wanted.tokens_N
