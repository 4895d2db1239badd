"""The looks' error, coverage and decisions, by simulation and at their edges."""

import numpy as np
import pytest
from scipy import stats

from raylab.verdict import looks
from raylab.verdict.paired import paired_difference

STUDIES = 20_000


def _studies(most: int, difference: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By study: was the difference found, is it in the interval, seeds taken. Drawn with paired t tests alone."""
    rng = np.random.default_rng(7)
    drawn_RS = rng.standard_normal((STUDIES, most)) + difference
    at = looks.planned(most)
    level = looks.levels(at)
    found_R, seeds_R = np.zeros(STUDIES, bool), np.full(STUDIES, most)
    covered_R = np.zeros(STUDIES, bool)
    for seeds, alpha in zip(at, level, strict=True):
        values = drawn_RS[:, :seeds]
        p_R = stats.ttest_1samp(values, 0, axis=1).pvalue
        true_p_R = stats.ttest_1samp(values, difference, axis=1).pvalue
        stops_R = ~found_R & ((p_R < alpha) | (seeds == most))
        covered_R[stops_R] = true_p_R[stops_R] > level[-1]
        seeds_R[~found_R & (p_R < alpha)] = seeds
        found_R |= p_R < alpha
    return found_R, covered_R, seeds_R


@pytest.mark.parametrize("most", [2, 3, 4, 8, 16])
def test_equals_are_told_apart_in_5_percent_of_studies_whatever_the_looks(most: int) -> None:
    found_R, _, _ = _studies(most, 0.0)
    low, high = stats.binom.interval(0.999, STUDIES, 0.05)
    assert low <= found_R.sum() <= high * 1.03, found_R.mean()  # the levels are drawn, too


@pytest.mark.parametrize("difference", [0.0, 0.3, 0.7, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("most", [8, 16])
def test_the_interval_covers_the_truth_for_any_size_of_the_difference(most: int, difference: float) -> None:
    _, covered_R, _ = _studies(most, difference)
    assert 0.94 <= covered_R.mean() <= 0.975


def test_what_is_clear_takes_few_seeds() -> None:
    assert _studies(16, 5.0)[2].mean() < 5 < _studies(16, 1.0)[2].mean() < 12


@pytest.mark.parametrize(("most", "at"), [(2, (2,)), (3, (3,)), (4, (3, 4)), (10, (3, 5, 7, 10)), (16, (3, 5, 7, 11, 16))])
def test_the_plan_of_looks(most: int, at: tuple[int, ...]) -> None:
    assert looks.planned(most) == at


def test_a_plan_of_one_seed_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 2 seeds"):
        looks.planned(1)


def test_one_look_is_the_ordinary_test() -> None:
    assert looks.levels((7,)) == pytest.approx((0.05,), rel=0.02)


@pytest.mark.parametrize("at", [(), (1, 2), (3, 3), (5, 4)])
def test_looks_that_are_none_are_refused(at: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="each more than the one before"):
        looks.levels(at)


# --- the scores of two arms ---------------------------------------------------------------------------------------------

Rows = list[list[float] | None]


def _rows(mean: float, seeds: int, sd: float = 1.0) -> Rows:
    rng = np.random.default_rng(3)
    return [list(mean + sd * draw + 0.01 * rng.standard_normal(9)) for draw in rng.standard_normal(seeds)]


ZEROS: Rows = [[0.0] * 9] * 16


def test_a_clear_difference_ends_at_the_first_look() -> None:
    ours = _rows(50.0, 16)
    assert looks.progress([], [], 16) == looks.Progress(seeds=3, over=False, confidence=0.95, looks=())
    assert looks.progress(ours[:2], ZEROS[:2], 16).seeds == 3
    found = looks.progress(ours[:3], ZEROS[:3], 16)
    assert (found.seeds, found.over, found.looks) == (3, True, (3,))
    assert found == looks.progress(ours, ZEROS, 16), "later seeds change nothing"


def test_equals_take_all_seeds() -> None:
    ours = _rows(0.0, 16)
    for ended in range(16):
        assert not looks.progress(ours[:ended], ZEROS[:ended], 16).over
    assert looks.progress(ours, ZEROS, 16).looks == (3, 5, 7, 11, 16)


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0, 2.0])
def test_the_reported_interval_agrees_with_the_decision(mean: float) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        ours: Rows = [list(mean + draw + rng.standard_normal(9)) for draw in rng.standard_normal(8)]
        found = looks.progress(ours, ZEROS[:8], 8)
        interval = paired_difference(ours[: found.seeds], ZEROS[: found.seeds], found.confidence).interval
        assert interval is not None
        excludes = not interval.low <= 0 <= interval.high
        assert excludes or found.seeds == 8, "an early end is a difference"


def test_a_comparison_that_a_cap_ends_counts_what_there_is_as_its_last_look() -> None:
    ours = _rows(0.0, 16)
    cut = looks.progress(ours[:9], ZEROS[:9], 16)
    assert (cut.over, cut.seeds, cut.looks) == (False, 11, (3, 5, 7))
    assert cut.confidence == 1 - looks.levels((3, 5, 7, 9))[-1] > 0.95
    assert looks.progress(ours[:2], ZEROS[:2], 16).confidence == pytest.approx(0.95, abs=0.001)


def test_ties_and_no_variance() -> None:
    assert looks.progress(ZEROS, ZEROS, 16).looks == (3, 5, 7, 11, 16)
    ones: Rows = [[1.0] * 9] * 3
    assert looks.progress(ones, ZEROS[:3], 16).over


def test_seeds_that_failed_are_no_pairs() -> None:
    ours = _rows(0.0, 16)
    ours[1] = ours[12] = None
    found = looks.progress(ours, ZEROS, 16)
    assert (found.over, found.looks) == (True, (2, 4, 6, 10, 14))
    assert 0.95 < found.confidence < 1


def test_looks_without_a_new_pair_are_none() -> None:
    ours: Rows = [[1.0] * 9, *[None] * 15]
    assert looks.progress(ours, ZEROS, 16) == looks.Progress(seeds=16, over=True, confidence=0.95, looks=())
    ours[4] = [1.5] * 9
    found = looks.progress(ours, ZEROS, 16)
    assert found.looks == (2,) and found.confidence == pytest.approx(0.95, abs=0.001)
