"""Figures that studies make of several arms' scores, with intervals for other seeds and other examples.

A ratio of differences has no simple interval; it gets one by the bootstrap in which seeds and examples are drawn again, both
with replacement and crossed (Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1). That errs on the wide side,
but knows no more of other seeds than the few there were tell: so a share is told only of a gain whose interval in the other
tables, which allows for that, leaves out zero.

Suffixes: B draws, S seeds, Q examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raylab.search.comparison.declared import Case
from raylab.search.comparison.results import Results, Section
from raylab.verdict.paired import Scores, estimate

DRAWS = 4000
SEED = 0

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share with its 95 % interval, as fractions; None where the denominator cannot be told from zero."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def percent(self) -> str:
        """ "65 % [48, 83]"."""
        if self.value is None or self.low is None or self.high is None:
            return "not defined"
        return f"{100 * self.value:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]"


def benefit(results: Results, case: Case, arm: str, *, none: str, whole: str) -> Share:
    """(arm - none) / (whole - none): which share of what `whole` gains over `none` the arm gains (Krishna et al. 2022; Wu et
    al. 2022, our reading). Not defined where `whole` and `none` cannot be told apart."""
    return _share([_drawn(results, case, (arm, none, whole))], of_means=False)


def benefits(results: Results, arms: Sequence[str], *, none: str, whole: str, cases: Sequence[Case] | None = None) -> Section:
    """Each arm's benefit in every case, and over all of them: the mean of the cases' ratios, and the ratio of their mean
    differences (where they share a measure), which papers do not always tell apart."""
    chosen = tuple(cases if cases is not None else results.cases)
    over_all = ["mean of ratios"] if len(chosen) > 1 else []
    if over_all and len({results.metric(case) for case in chosen}) == 1:  # points and bits have no mean
        over_all.append("ratio of means")
    rows = []
    for arm in arms:
        drawn = [_drawn(results, case, (arm, none, whole)) for case in chosen]
        shares = [_share(drawn, of_means=name == "ratio of means") for name in over_all]
        rows.append((arm, *(_share([one], of_means=False).percent() for one in drawn), *(s.percent() for s in shares)))
    columns = ("arm", *(case.name for case in chosen), *over_all)
    note = (
        f"(arm - {none}) / ({whole} - {none}), with 95 % intervals by a bootstrap over seeds and examples; not defined where "
        f"{whole} and {none} cannot be told apart."
    )
    return Section(title=f"Benefit: the share of what {whole} gains over {none}", columns=columns, rows=tuple(rows), note=note)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawn:
    """Numerator and denominator as they are, and in each draw; NaN without a seed that all three arms finished. defined: whether
    the denominator's interval, that of every other table, leaves out zero."""

    gained: float
    whole: float
    gained_B: Array
    whole_B: Array
    defined: bool


def _drawn(results: Results, case: Case, arms: tuple[str, str, str]) -> _Drawn:
    ours, none, whole = common([results.scores(case, arm) for arm in arms])
    if not ours.size:
        nothing_B = np.full(DRAWS, np.nan)
        return _Drawn(gained=np.nan, whole=np.nan, gained_B=nothing_B, whole_B=nothing_B, defined=False)
    gained_SQ, whole_SQ = ours - none, whole - none
    limits = estimate(whole_SQ.tolist()).interval
    return _Drawn(
        gained=float(gained_SQ.mean()), whole=float(whole_SQ.mean()), gained_B=redrawn(gained_SQ), whole_B=redrawn(whole_SQ),
        defined=limits is not None and (limits.low > 0 or limits.high < 0),
    )  # fmt: skip


def redrawn(values_SQ: Array) -> Array:
    """The mean of a table in each draw of seeds and examples. Tables of one shape have the same draws."""
    seeds, examples = values_SQ.shape
    rng = np.random.default_rng(SEED)
    seeds_BS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=DRAWS) / seeds
    examples_BQ = rng.multinomial(examples, np.full(examples, 1 / examples), size=DRAWS) / examples
    means_B: Array = ((seeds_BS @ values_SQ) * examples_BQ).sum(axis=1)
    return means_B


def common(scores: Sequence[Scores]) -> list[Array]:
    """The seeds that all arms finished, as tables of one shape."""
    rows = [row for row in zip(*scores, strict=True) if all(part is not None for part in row)]
    return [np.array([row[i] for row in rows], dtype=np.float64) for i in range(len(scores))]


def _share(drawn: Sequence[_Drawn], *, of_means: bool) -> Share:
    if not all(one.defined for one in drawn):
        return Share(value=None)
    if of_means:
        value = sum(one.gained for one in drawn) / sum(one.whole for one in drawn)
        value_B = sum(one.gained_B for one in drawn) / sum(one.whole_B for one in drawn)
    else:
        value = float(np.mean([one.gained / one.whole for one in drawn]))
        value_B = np.mean([one.gained_B / one.whole_B for one in drawn], axis=0)
    low, high = np.quantile(value_B, (0.025, 0.975))
    return Share(value=value, low=float(low), high=float(high))
