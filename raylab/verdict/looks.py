"""When the verdict may look, and how sure it must be at each look: a group-sequential paired t test.

Seeds are added until the winner is separated from its baseline or there are no more. Looking several times at 5 % would
find a difference between equals far too often (Armitage, McPherson & Rowe 1969, J. R. Stat. Soc. A 132), so the 5 % are
spent over the looks: after a fraction f of the most seeds, 5 % times f ** 1.5 may have been spent (the power family of
Kim & DeMets 1987, Biometrika 74, between the spending functions after Pocock and after O'Brien & Fleming of Lan & DeMets
1983, Biometrika 70). Looks whose seeds differ from the plan, because runs failed, are allowed for.

Tables of such levels hold for known variance; with three to five seeds a t statistic tested at them errs in 5.3 to 5.9 % of
the cases (simulated). The levels here are for the t statistics themselves: under no difference these do not depend on the
variance, so that their joint distribution is drawn once, with a fixed seed, and each level is read from it.

The interval that is reported has the level of the last look, whenever the test stopped. So it agrees with the decision
(what was separated at an earlier, stricter look lies outside of it, too), and its simulated coverage is between 94 and
97 % for every size of the difference; the nominal 95 % interval would fall short where there is no difference, repeated
confidence intervals (Jennison & Turnbull 1989, J. R. Stat. Soc. B 51) are wider, 99 % and more for a large one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.special import stdtr

from raylab.verdict.paired import CONFIDENCE, Scores, paired_difference

ERROR = 0.05  # of all looks together, both sides
LEAST = 3  # seeds of the first look, unless fewer are all there may be; with two, nothing but chance excludes zero
GROWTH = 1.5  # each look has so many times the seeds of the one before
POWER = 1.5
STUDIES = 2**18  # drawn without a difference; the levels' own error is below 2 % of them


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a comparison is. seeds: that it takes as far as is known now. over: nothing more is to be run for it.
    confidence: of the interval to report, each look allowed for; before it is over, as if what has ended were all that there
    will be (a cap may end it). looks: pairs of seeds at each look there was."""

    seeds: int
    over: bool
    confidence: float
    looks: tuple[int, ...]


def progress(ours: Scores, theirs: Scores, most: int) -> Progress:
    """Where the comparison of two arms stands, given the scores of the first seeds, those that have ended in both arms.

    A seed counts as a pair where both arms finished. Deterministic: the same scores give the same looks.
    """
    looks: tuple[int, ...] = ()
    for seeds in planned(most):
        pairs = sum(a is not None and b is not None for a, b in zip(ours[:seeds], theirs[:seeds], strict=True))
        if len(ours) < seeds:
            now = (*looks, pairs) if pairs > max((1, *looks)) else looks
            return Progress(seeds=seeds, over=False, confidence=_last(now), looks=looks)
        if pairs < 2 or (looks and pairs == looks[-1]):
            continue
        looks = (*looks, pairs)
        plan = levels(looks + tuple(later - (seeds - pairs) for later in planned(most) if later > seeds))
        found = paired_difference(ours[:seeds], theirs[:seeds], 1 - plan[len(looks) - 1])
        if found.interval is not None and not found.interval.low <= 0 <= found.interval.high:
            return Progress(seeds=seeds, over=True, confidence=1 - plan[-1], looks=looks)
    return Progress(seeds=most, over=True, confidence=_last(looks), looks=looks)


def _last(looks: tuple[int, ...]) -> float:
    """The confidence of an interval if there is no look after these. Where more were planned, and a cap that knows nothing
    of the scores ended them, the earlier looks spent less than this allows for."""
    return 1 - levels(looks)[-1] if looks else CONFIDENCE


def planned(most: int) -> tuple[int, ...]:
    """The numbers of seeds at which the verdict looks, `most` at the last. Raises ValueError below two seeds."""
    if most < 2:
        raise ValueError(f"a verdict takes at least 2 seeds; got {most}.")
    looks = [most]
    while (earlier := round(looks[0] / GROWTH)) >= LEAST and earlier < looks[0]:
        looks.insert(0, earlier)
    return tuple(looks)


@lru_cache(maxsize=1024)
def levels(looks: tuple[int, ...]) -> tuple[float, ...]:
    """The two-sided level of the paired t test at each look, so that all together err in 5 % of the cases.

    looks: pairs of seeds at each, increasing, 2 at least; the last may spend all that is left.
    """
    if not looks or looks[0] < 2 or any(a >= b for a, b in pairwise(looks)):
        raise ValueError(f"looks have 2 pairs at least, each more than the one before; got {looks}.")
    p_LR, found = _null(looks), []
    going = np.ones(STUDIES, dtype=bool)
    spent = 0
    for pairs, p_R in zip(looks, p_LR, strict=True):
        may = round(STUDIES * ERROR * (pairs / looks[-1]) ** POWER)
        level = float(np.partition(p_R[going], may - spent)[may - spent]) if may > spent else 0.0
        found.append(level)
        going &= p_R >= level
        spent = may
    return tuple(found)


def _null(looks: Sequence[int]) -> list[np.ndarray]:
    """The two-sided p values of R studies without a difference, at each look."""
    rng = np.random.default_rng(0)
    total_R, squares_R = np.zeros(STUDIES), np.zeros(STUDIES)
    found = []
    for seed in range(1, looks[-1] + 1):
        drawn_R = rng.standard_normal(STUDIES)
        total_R += drawn_R
        squares_R += drawn_R**2
        if seed in looks:
            variance_R = (squares_R - total_R**2 / seed) / (seed - 1)
            found.append(2 * stdtr(seed - 1, -np.abs(total_R) / np.sqrt(seed * variance_R)))
    return found
