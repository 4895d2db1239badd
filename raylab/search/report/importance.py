"""How much each choice of a space decided the score, as far as the finished trials can tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import rankdata

from raylab.search.ledger import Run
from raylab.search.measure import Measure

FEWEST_TRIALS = 10
FEWEST_LEFT = 5  # degrees of freedom that must remain after a choice was fitted
SURE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """share: of the variance of the trials' ranks by score, what this choice alone explains, less what chance explains
    on average (adjusted R squared, not below 0). p: of seeing as much by chance in any of the choices (Bonferroni)."""

    name: str
    share: float
    p: float
    trials: int

    @property
    def sure(self) -> bool:
        """Is it more than chance?"""
        return self.p < SURE


def importances(runs: Sequence[Run], measure: Measure) -> list[Importance]:
    """Of every choice that can be judged, the most important first; empty where the trials are too few.

    A one-way fit for each choice on its own: categories as groups, numbers as a parabola in their rank, so that a best
    value in the middle counts, too. A choice that exists only beside another (a policy's own knob) is judged over the
    trials that have it. Ranks, so that one very bad trial does not decide.
    """
    scored = [(run.values, score) for run in runs if (score := measure.score(run)) is not None]
    names = dict.fromkeys(name for values, _ in scored for name in values)
    fits = {name: fit for name in names if (fit := _fit([(v[name], s) for v, s in scored if v.get(name) is not None]))}
    found = [
        Importance(name=name, share=max(0.0, share), p=min(1.0, p * len(fits)), trials=trials)
        for name, (share, p, trials) in fits.items()
    ]
    return sorted(found, key=lambda importance: -importance.share)


def _fit(pairs: Sequence[tuple[Any, float]]) -> tuple[float, float, int] | None:
    """Adjusted R squared, the F test's p, and the number of trials; None where they cannot tell."""
    trials = len(pairs)
    if trials < FEWEST_TRIALS or len({score for _, score in pairs}) == 1:
        return None
    design = _design([value for value, _ in pairs])
    fitted = int(np.linalg.matrix_rank(design)) - 1
    left = trials - 1 - fitted
    if fitted < 1 or left < FEWEST_LEFT:
        return None
    ranks = rankdata([score for _, score in pairs])
    errors = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    unexplained = max(float(errors @ errors), 1e-12) / float(np.sum((ranks - ranks.mean()) ** 2))
    p = float(f_distribution.sf((1 - unexplained) / fitted / (unexplained / left), fitted, left))
    return 1 - unexplained * (trials - 1) / left, p, trials


def _design(values: Sequence[Any]) -> np.ndarray:
    """A column of ones, and what the choice may explain: a column a category, or rank and its square."""
    ones = np.ones((len(values), 1))
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if numeric and len(set(values)) > 3:
        rank = (rankdata(values) - 1) / (len(values) - 1) - 0.5
        return np.column_stack([ones, rank, rank**2])
    kinds = sorted(map(str, set(values)))
    return np.column_stack([ones, *([float(str(value) == kind) for value in values] for kind in kinds)])
