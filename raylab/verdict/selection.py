"""Which recipe stands for the search in its verdict: a race of the best explored ones on fresh seeds, on dev.

Exploration ran every recipe once, so that its best is the luckiest as much as the best. The better ones therefore run again
on further seeds, the same for all that are still in the race, in rounds. A candidate stays in while taking the leader
instead of it may cost something: while the expected loss

    E[max(0, leader - candidate)] = se * (phi(z) - z * Phi(-z)),    z = (their difference) / se,

is more than 2.5 % of what the leader is ahead of the median recipe. That is the expected opportunity cost of Chick & Inoue
(2001, Operations Research 49), used round by round with at most so many candidates as `CAPS` says, much as in successive
halving (Karnin, Koren & Somekh 2013, ICML) and successive rejects (Audibert, Bubeck & Munos 2010, COLT). A leader far ahead
ends the race before it begins; twins of which it does not matter which one is taken end it early.

The race controls no error and need not: the verdict is taken on other seeds and on test questions, which no selection
saw. A wrong choice costs power, never truth.

What is told of recipes is not the best of many noisy scores but its empirical Bayes estimate (James & Stein 1961; Morris
1983, J. Am. Stat. Assoc. 78): each is drawn towards the mean of all, the more, the fewer seeds it has.

Tables hold losses, less being better: one row a recipe (C), one column a round or seed (S), NaN where it did not run or did
not finish. Before anything ran twice, only one thing bounds the noise: the spread of the scores, as if all of it were luck.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

CAPS = (8, 6, 4, 3, 2)  # candidates at most, by round
LOSS = 0.025  # of the leader's lead over the median, which does not matter
SPREAD_FREEDOM = 0.25  # what the spread of the scores weighs against the noise measured between seeds
LEAST_SHRUNK = 4  # recipes
CONFIDENCE = 0.95

Table = NDArray[np.float64]
Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A recipe's estimated score over seeds, drawn towards all recipes' mean; without limits where the noise is not known."""

    score: float
    low: float | None
    high: float | None
    seeds: int


def due(losses_CS: Table) -> list[int]:
    """The candidates that run in the next round, best first; none where the race is over. The first column is exploration."""
    rounds = losses_CS.shape[1]
    still = order(losses_CS)
    if rounds > len(CAPS) or len(still) < 2:
        return []
    means = np.nanmean(losses_CS[still], axis=1)
    explored = _known(losses_CS[:, 0])
    lead = float(np.median(explored) - explored.min())
    error = math.sqrt(2 * _noise(losses_CS) / np.isfinite(losses_CS[still[0]]).sum())
    kept = [c for c, mean in zip(still, means, strict=True) if _expected_loss(mean - means[0], error) > LOSS * lead]
    return kept[: CAPS[rounds - 1]] if len(kept) > 1 else []


def order(losses_CS: Table) -> list[int]:
    """The candidates that went furthest, best first: those with the most scores, so that all of them have the same seeds."""
    seeds_C = np.isfinite(losses_CS).sum(axis=1)
    still = np.flatnonzero(seeds_C == max(1, seeds_C.max(initial=1)))
    means = np.nanmean(losses_CS[still], axis=1)
    return [int(still[i]) for i in np.argsort(means, kind="stable")]


def tied(losses_CS: Table, confidence: float = CONFIDENCE) -> list[int]:
    """The candidates that ran again and cannot be told from the best by the seeds they share with it.

    Paired t intervals with the noise of all candidates, all of them together at `confidence` (Bonferroni).
    """
    best, *_ = order(losses_CS)
    rivals = [c for c in np.flatnonzero(np.isfinite(losses_CS).sum(axis=1) > 1) if c != best]
    _, squares, freedom = _fit(losses_CS)
    if not freedom:
        return []
    quantile = float(stdtrit(freedom, 1 - (1 - confidence) / len(rivals) / 2))
    return [int(c) for c in rivals if _within(losses_CS[c] - losses_CS[best], quantile * math.sqrt(2 * squares / freedom))]


def standings(losses_CS: Table, confidence: float = CONFIDENCE) -> list[Standing | None]:
    """Every recipe's estimate; None where it has no score. Where no two recipes ran on the same two seeds, nothing is known
    of the noise: the scores are then told as they are, without limits."""
    effect_S, squares, freedom = _fit(losses_CS)
    ran = np.isfinite(losses_CS).any(axis=1)
    seeds_R = np.isfinite(losses_CS[ran]).sum(axis=1)
    mean_R = np.nanmean(losses_CS[ran] - effect_S, axis=1) if ran.any() else np.zeros(0)
    score_R, half_R = (
        _shrunk(mean_R, seeds_R, squares, freedom, confidence) if freedom else (mean_R, np.full(len(mean_R), np.nan))
    )
    found: list[Standing | None] = [None] * len(losses_CS)
    for c, score, half, seeds in zip(np.flatnonzero(ran), score_R, half_R, seeds_R, strict=True):
        low, high = (float(score - half), float(score + half)) if freedom else (None, None)
        found[c] = Standing(score=float(score), low=low, high=high, seeds=int(seeds))
    return found


def _shrunk(mean_R: Vector, seeds_R: NDArray[np.int64], squares: float, freedom: int, confidence: float) -> tuple[Vector, Vector]:
    """Means drawn towards their centre, and the half-widths of their intervals: Morris's (1983) formulas, which allow for
    the spread of the recipes being estimated, too. Fewer than four recipes tell nothing of it: their means stay."""
    recipes, error_R = len(mean_R), squares / freedom / seeds_R
    quantile = float(stdtrit(freedom, (1 + confidence) / 2))
    if recipes < LEAST_SHRUNK or not squares:
        return mean_R, quantile * np.sqrt(error_R)
    between = max(0.0, float(mean_R.var(ddof=1) - error_R.mean()))
    pull_R = (recipes - 3) / (recipes - 1) * error_R / (between + error_R)
    centre = float(np.average(mean_R, weights=1 / (between + error_R)))
    variance_R = error_R * (1 - (recipes - 1) / recipes * pull_R) + 2 / (recipes - 3) * (pull_R * (mean_R - centre)) ** 2
    return mean_R + pull_R * (centre - mean_R), quantile * np.sqrt(variance_R)


def _expected_loss(behind: float, error: float) -> float:
    if error == 0:
        return 0.0
    z = behind / error
    return float(error * (math.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * ndtr(-z)))


def _within(differences_S: Vector, half_width_of_one: float) -> bool:
    """Is zero inside the interval of these differences? Without any, nothing says that it is not."""
    common = _known(differences_S)
    return not len(common) or bool(abs(common.mean()) <= half_width_of_one / math.sqrt(len(common)))


def _noise(losses_CS: Table) -> float:
    """The variance of a loss between seeds, beyond what a seed does to all recipes alike."""
    _, squares, freedom = _fit(losses_CS)
    explored = _known(losses_CS[:, 0])
    spread = float(explored.var(ddof=1)) if len(explored) > 1 else 0.0
    return (SPREAD_FREEDOM * spread + squares) / (SPREAD_FREEDOM + freedom)


def _fit(losses_CS: Table) -> tuple[Vector, float, int]:
    """Loss = recipe + seed, over the recipes that ran more than once: the seeds' effects, which sum to zero, the residual sum
    of squares and its degrees of freedom."""
    rows_RS = losses_CS[np.isfinite(losses_CS).sum(axis=1) > 1]
    recipe_N, seed_N = np.nonzero(np.isfinite(rows_RS))
    loss_N = rows_RS[recipe_N, seed_N]
    design = np.zeros((len(loss_N), sum(rows_RS.shape)))
    design[np.arange(len(loss_N)), recipe_N] = 1.0
    design[np.arange(len(loss_N)), len(rows_RS) + seed_N] = 1.0
    if not len(loss_N):
        return np.zeros(losses_CS.shape[1]), 0.0, 0
    fitted, _, rank, _ = np.linalg.lstsq(design, loss_N, rcond=None)
    residual_N = loss_N - design @ fitted
    effect_S = fitted[len(rows_RS) :]
    ran_S = np.isfinite(rows_RS).any(axis=0)
    return np.where(ran_S, effect_S - effect_S[ran_S].mean(), 0.0), float(residual_N @ residual_N), len(loss_N) - int(rank)


def _known(values: Vector) -> Vector:
    return values[np.isfinite(values)]
