"""Several paired comparisons at once, all of them together wrong in 5 % of the cases (raylab.verdict.holm)."""

from collections.abc import Sequence
from dataclasses import dataclass

from raylab.verdict import holm
from raylab.verdict.paired import Estimate, Scores, paired_difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """One comparison among several. difference: ours minus theirs, its interval at the level at which Holm's procedure tests
    it, so that it excludes zero where that finds a difference. p: adjusted; None where nothing could be tested."""

    difference: Estimate
    p: float | None


def several(pairs: Sequence[tuple[Scores, Scores]]) -> list[Tested]:
    """Each pair's difference, ours minus theirs, allowing for the others."""
    p_values = [paired_difference(ours, theirs).p for ours, theirs in pairs]
    tested = [1.0 if p is None else p for p in p_values]  # what cannot be tested is the last to be found different
    return [
        Tested(difference=paired_difference(*pair, 1 - level), p=None if p is None else adjusted)
        for pair, p, level, adjusted in zip(pairs, p_values, holm.levels(tested), holm.adjusted(tested), strict=True)
    ]
