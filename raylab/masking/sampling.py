"""What the policies share: units, exact budgets, and random choice within every passage of a batch at once.

Letters: N tokens, R passages, R1 = R + 1 boundaries, U units, S spans. A *unit* is what a policy hides or leaves as a
whole: a token, a word, a collocation. Units are maskable, and none crosses a passage.

Budgets are met exactly, not in expectation: a Bernoulli draw at 15 % misses its rate by 0.036 points (one standard
deviation) over a million tokens, which is noise that a comparison of rates doesn't need. So a policy proposes slightly
more than it wants and drops units at random until the count of tokens is right (`thinned`); where the last unit would
overshoot, it stays with the probability that makes the expected count exact.
"""

from dataclasses import dataclass

import numpy as np

from raylab.masking.policy import Mask, Passages

_MARGIN = 4.0  # standard deviations proposed above a budget; falling short of it is then a matter of 1 in 30,000


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """U units of a batch: token ranges, sorted, and where each passage's units begin."""

    starts_U: np.ndarray
    ends_U: np.ndarray
    bounds_R1: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Tokens of each unit."""
        return self.ends_U - self.starts_U


def words(passages: Passages, joined_N: np.ndarray | None = None) -> Units:
    """Maskable words. A word ends at a token that is not maskable. joined_N: word starts that do not begin a unit."""
    edges_N = passages.word_starts_N.copy() if joined_N is None else passages.word_starts_N & ~joined_N
    edges_N |= ~passages.maskable_N
    edges_N[1:] |= ~passages.maskable_N[:-1]
    edges_N[first_tokens(passages)] = True
    edges = np.flatnonzero(edges_N)
    ends = np.append(edges[1:], len(edges_N))
    maskable = passages.maskable_N[edges]
    return _units(passages, edges[maskable], ends[maskable])


def tokens(passages: Passages) -> Units:
    """Maskable tokens."""
    starts_U = np.flatnonzero(passages.maskable_N)
    return _units(passages, starts_U, starts_U + 1)


def _units(passages: Passages, starts_U: np.ndarray, ends_U: np.ndarray) -> Units:
    return Units(starts_U=starts_U, ends_U=ends_U, bounds_R1=np.searchsorted(starts_U, passages.starts_R1))


def first_tokens(passages: Passages) -> np.ndarray:
    """Where the passages begin that have a token."""
    return passages.starts_R1[:-1][np.diff(passages.starts_R1) > 0]


def of_passage(passages: Passages, values_R: np.ndarray) -> np.ndarray:
    """Each token's value of its passage."""
    return np.repeat(values_R, np.diff(passages.starts_R1))


def bounds(counts_R: np.ndarray) -> np.ndarray:
    """Where segments of these lengths begin when laid end to end; the last entry is the total."""
    return np.concatenate([[0], np.cumsum(counts_R)])


def before(amounts: np.ndarray, bounds_R1: np.ndarray) -> np.ndarray:
    """For each element the sum of the amounts that stand before it in its segment."""
    total = bounds(amounts)
    return total[:-1] - np.repeat(total[bounds_R1[:-1]], np.diff(bounds_R1))


def covered(length: int, starts_S: np.ndarray, ends_S: np.ndarray) -> np.ndarray:
    """True inside any of the spans, which may overlap."""
    sizes_S = ends_S - starts_S
    cuts = bounds(sizes_S)
    covered_N = np.zeros(length, bool)
    covered_N[np.arange(cuts[-1]) + np.repeat(starts_S - cuts[:-1], sizes_S)] = True
    return covered_N


def mask_of(passages: Passages, starts_S: np.ndarray, ends_S: np.ndarray) -> Mask:
    """The mask that hides the maskable tokens of these spans, each span on its own."""
    hidden_N = covered(len(passages.tokens_N), starts_S, ends_S) & passages.maskable_N
    begins_N = np.zeros_like(hidden_N)
    begins_N[starts_S] = True
    begins_N[1:] |= ~hidden_N[:-1]
    begins_N[first_tokens(passages)] = True
    return Mask(hidden_N=hidden_N, begins_N=begins_N & hidden_N)


def thinned(sizes_S: np.ndarray, budget: float, rng: np.random.Generator) -> np.ndarray:
    """The indices that are left, in order, after dropping spans at random until their sizes sum to `budget`.

    sizes_S: positive. The sum is exact to less than one span, and exact in expectation; a sum below the budget stays.
    """
    excess = float(sizes_S.sum()) - budget
    if excess <= 0:
        return np.arange(len(sizes_S))
    candidates = rng.choice(len(sizes_S), size=min(len(sizes_S), int(np.ceil(excess))), replace=False)
    sizes = sizes_S[candidates]
    dropped = candidates[rng.random(len(sizes)) * sizes < excess - (np.cumsum(sizes) - sizes)]
    return np.delete(np.arange(len(sizes_S)), dropped)


def chosen(sizes_U: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """The indices of random units that hold a share `rate` of all their tokens."""
    total = int(sizes_U.sum())
    spread = np.sqrt(rate * (1 - rate) * float(np.dot(sizes_U, sizes_U)))
    proposed = np.flatnonzero(coins(len(sizes_U), rate + _MARGIN * spread / max(total, 1), rng))
    return proposed[thinned(sizes_U[proposed], rate * total, rng)]


def coins(count: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """`count` independent coins of a probability rounded up to a multiple of 2**-16: two random bytes a coin."""
    if probability >= 1:
        return np.ones(count, bool)
    return np.frombuffer(rng.bytes(2 * count), dtype="<u2") < np.ceil(probability * 2**16)


def budgets(amounts_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each amount rounded up or down at random, without bias, so that all of them sum to their total, to less than one.

    Systematic sampling: one random offset shifts all the rounding boundaries of the running sum.
    """
    return np.diff(np.floor(bounds(amounts_R) + rng.random())).astype(np.int64)


def share_to_propose(sizes_U: np.ndarray, rate: float) -> float:
    """The share of the units among which, whatever their sizes, a share `rate` of the tokens is; `rate` if all are equal."""
    count, total, squares = len(sizes_U), int(sizes_U.sum()), int(np.dot(sizes_U, sizes_U))
    variation = count * squares / total**2 - 1 if total else 0.0  # the squared coefficient of variation of the sizes
    return min(1.0, rate + _MARGIN * float(np.sqrt(variation * rate * (1 - rate) / max(count, 1))))


def ordered(keys_U: np.ndarray, bounds_R1: np.ndarray) -> np.ndarray:
    """The indices that sort the keys within each of the segments that `bounds_R1` cuts them into."""
    if not len(keys_U):
        return np.zeros(0, np.int64)
    low = keys_U.min()
    unit_interval = (keys_U - low) / ((keys_U.max() - low) * (1 + 1e-9) or 1.0)
    return np.argsort(np.repeat(np.arange(len(bounds_R1) - 1), np.diff(bounds_R1)) + unit_interval)


def picked(sizes_R: np.ndarray, counts_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each r a uniformly random subset of counts_R[r] of the sizes_R[r] slots: True where picked, laid end to end."""
    bounds_R1 = bounds(sizes_R)
    order = ordered(rng.random(bounds_R1[-1]), bounds_R1)
    rank = np.arange(len(order)) - np.repeat(bounds_R1[:-1], sizes_R)
    picked_slots = np.zeros(len(order), bool)
    picked_slots[order[rank < np.repeat(counts_R, sizes_R)]] = True
    return picked_slots


def within(units: Units, order_U: np.ndarray, rate: float, rng: np.random.Generator) -> np.ndarray:
    """The units that come first in the order of their passage and hold a share `rate` of its tokens, sorted."""
    sizes_U = units.sizes[order_U]
    tokens_R = np.diff(bounds(sizes_U)[units.bounds_R1])
    budget_U = np.repeat(budgets(tokens_R * rate, rng), np.diff(units.bounds_R1))
    taken = rng.random(len(sizes_U)) * sizes_U < budget_U - before(sizes_U, units.bounds_R1)
    return np.sort(order_U[taken])
