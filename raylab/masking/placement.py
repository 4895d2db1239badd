"""Spans placed in every passage of a batch at once: how long they are, and how many visible units stand between them.

Letters: R passages, U units, S spans, D draws. A passage's spans are given in order, by their lengths in units and by
their *gaps*: how many visible units of the passage stand before each of them.
"""

from typing import Literal

import numpy as np

from raylab.masking.policy import Passages
from raylab.masking.sampling import Units, before, bounds, budgets, picked, share_to_propose, thinned, tokens, words


def spans_at_random(
    passages: Passages, unit: Literal["word", "token"], rate: float, lengths_p: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends, in tokens, of spans of random length that hide a share `rate` of the tokens of each passage.

    lengths_p: the probabilities of the lengths 1, 2, ... in units.
    """
    units = words(passages) if unit == "word" else tokens(passages)
    units_R, share = np.diff(units.bounds_R1), share_to_propose(units.sizes, rate)
    hidden_R = budgets(units_R * share, rng)
    lengths_S, spans_R = lengths_within(hidden_R, lengths_p, rng)
    first_S = first_units(units, lengths_S, spans_R, random_gaps(units_R - hidden_R, spans_R, rng))
    if share > rate:
        total_U1 = bounds(units.sizes)
        left = thinned(total_U1[first_S + lengths_S] - total_U1[first_S], rate * total_U1[-1], rng)
        first_S, lengths_S = first_S[left], lengths_S[left]
    return units.starts_U[first_S], units.ends_U[first_S + lengths_S - 1]


def lengths_within(budget_R: np.ndarray, lengths_p: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random lengths for each passage until its budget is spent, the last one cut to it; and how many each has."""
    bounds_R1 = bounds(budget_R)
    # A budget of b units never takes more than b lengths; what is drawn beyond it is dropped.
    lengths_D = 1 + np.searchsorted(np.cumsum(lengths_p)[:-1], rng.random(bounds_R1[-1]), side="right")
    left_D = np.repeat(budget_R, budget_R) - before(lengths_D, bounds_R1)
    used_D = left_D > 0
    return np.minimum(lengths_D, left_D)[used_D], np.diff(bounds(used_D)[bounds_R1])


def first_units(units: Units, lengths_S: np.ndarray, spans_R: np.ndarray, gaps_S: np.ndarray) -> np.ndarray:
    """The unit that each span begins with."""
    return np.repeat(units.bounds_R1[:-1], spans_R) + gaps_S + before(lengths_S, bounds(spans_R))


def random_gaps(visible_R: np.ndarray, spans_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaps independent of each other, so that spans may touch.

    Sorted uniform numbers, without sorting: their spacings are those of as many exponential ones, divided by the sum.
    """
    steps = rng.standard_exponential(int(spans_R.sum()) + len(spans_R))  # one more than spans for each passage
    bounds_R1 = bounds(spans_R + 1)
    total_R = np.diff(bounds(steps)[bounds_R1])
    points = before(steps, bounds_R1)
    points_S = np.delete(points, bounds_R1[:-1]) / np.repeat(total_R, spans_R)
    slots_S = np.repeat(visible_R + 1, spans_R)
    return np.clip((points_S * slots_S).astype(np.int64), 0, slots_S - 1)


def separate_gaps(visible_R: np.ndarray, spans_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaps of spans between which at least one unit is visible, uniform over all ways to place them."""
    slots_R1 = bounds(visible_R + 1)
    return np.flatnonzero(picked(visible_R + 1, spans_R, rng)) - np.repeat(slots_R1[:-1], spans_R)


def split_at_random(totals_R: np.ndarray, parts_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each total as a sum of that many positive parts, uniform over all ways to do so."""
    begins = np.ones(int(totals_R.sum()), bool)
    inner = np.ones_like(begins)
    inner[bounds(totals_R)[:-1][totals_R > 0]] = False
    begins[inner] = picked(np.maximum(totals_R - 1, 0), np.maximum(parts_R - 1, 0), rng)
    return np.diff(np.flatnonzero(begins), append=len(begins))
