"""From which size on one arm's lead over another is small, over cases that stand along an axis; and how fast arms read.

Sizes are only those that were tried. One has an interval by the bootstrap of raylab.search.comparison.derived, in which the
same seeds and examples are drawn for all of them.

Suffixes: B draws, C cases in the order of their sizes, S seeds, Q examples.
"""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from raylab.search.comparison.declared import Case
from raylab.search.comparison.derived import common, redrawn
from raylab.search.comparison.results import Results, Section
from raylab.search.comparison.words import with_limits

MARGIN = 0.01  # a point, of measures that are shares
NEVER = "not within these data"

Array = NDArray[np.float64]


def gaps(results: Results, arm: str, others: Sequence[str]) -> Section:
    """The lead of `arm` over each of the others at every size, in points, and the least size from which on it is within one.

    All cases stand along an axis, and their measure is a share.
    """
    cases = sorted(results.cases, key=_size)
    rows = [(case.name, *(_points(results, case, arm, other) for other in others)) for case in cases]
    found = [_told(_from(results, cases, arm, other), cases) for other in others]
    note = (
        f"{arm} minus the other, in points of {results.metric(cases[0]).replace('_', ' ')}, each with an interval of 95 % by "
        "itself; last, the least of these sizes from which on it is no more than one point ahead, with the 95 % interval of that "
        "size by a bootstrap over seeds and examples."
    )
    return Section(
        title=f"What {arm} is ahead of the others, and from where on by no more than a point", columns=("", *others),
        rows=(*rows, ("within a point from", *found)), note=note,
    )  # fmt: skip


def speeds(results: Results, against: str) -> Section:
    """How many test examples each arm's model reads in a second, beside another's: medians over all runs."""
    taken: dict[str, list[float]] = {}
    sizes: dict[str, float] = {}
    for case in results.cases:
        for label in results.arms(case):
            for run in results.finished(case, label):
                (scores, *_) = run.scores["test"].values()
                taken.setdefault(label, []).append(len(scores) / run.seconds["evaluation"])
                sizes[label] = run.metrics["parameters"]
    reads = {label: median(found) for label, found in taken.items()}
    slow = reads.get(against, math.nan)
    rows = [(label, f"{sizes[label]:,.0f}", f"{found:,.0f}", f"{found / slow:.1f}") for label, found in reads.items()]
    return Section(
        title="Inference", columns=("arm", "parameters", "test examples a second", f"times {against}"), rows=tuple(rows),
        note="Medians over all runs, which took turns on one machine; what else it did slows all of them, so that the last "
        "column is what to go by.",
    )  # fmt: skip


def _size(case: Case) -> float:
    if case.x is None:
        raise ValueError(f"the case {case.name} stands nowhere along an axis.")
    return case.x


def _points(results: Results, case: Case, arm: str, other: str) -> str:
    found = results.difference(case, arm, other)
    limits = found.interval
    if found.mean is None or limits is None:
        return with_limits(None if found.mean is None else 100 * found.mean, None, None, 1)
    return with_limits(100 * found.mean, 100 * limits.low, 100 * limits.high, 1)


def _from(results: Results, cases: Sequence[Case], arm: str, other: str) -> tuple[int, int, int] | None:
    """Which case is the first from which on the lead is small, and the limits of that; len(cases) for none of them; None if one
    of them has no seed that both arms finished."""
    tables = [common([results.scores(case, name) for name in (arm, other)]) for case in cases]
    if any(not ours.size for ours, _ in tables):
        return None
    leads = [ours - theirs for ours, theirs in tables]
    first_B = _first_small(np.array([redrawn(lead_SQ) for lead_SQ in leads]))
    (first,) = _first_small(np.array([[lead_SQ.mean()] for lead_SQ in leads]))
    low, high = np.quantile(first_B, (0.025, 0.975), method="nearest")
    return int(first), int(low), int(high)


def _first_small(lead_CB: Array) -> NDArray[np.int64]:
    """Of each column the first row from which on no lead is beyond the margin; the number of rows if the last one is."""
    beyond_CB = lead_CB > MARGIN
    after_B = beyond_CB[::-1].argmax(axis=0)  # rows after the last one beyond it
    return np.where(beyond_CB.any(axis=0), len(lead_CB) - after_B, 0)


def _told(found: tuple[int, int, int] | None, cases: Sequence[Case]) -> str:
    if found is None:
        return "-"
    first, low, high = (cases[at].name if at < len(cases) else NEVER for at in found)
    return f"{first} [{low}; {high}]"
