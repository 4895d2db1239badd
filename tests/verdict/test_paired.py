"""Coverage by simulation, and the edges of the estimate."""

import math

import numpy as np
import pytest
from scipy import stats

from raylab.verdict.paired import Estimate, estimate, paired_difference

# (S, Q, sd of seeds, of questions, of the residual): noise alone, questions alone, both, seeds alone
SETTINGS = [
    (2, 130, 0.2, 1.0, 1.0),
    (3, 130, 0.0, 0.0, 1.0),
    (3, 130, 0.0, 1.0, 0.3),
    (3, 130, 0.2, 1.0, 1.0),
    (3, 130, 1.0, 1.0, 1.0),
    (3, 130, 1.0, 0.0, 0.0),
    (5, 20, 0.3, 1.0, 1.0),
    (10, 20, 1.0, 1.0, 1.0),
]
DRAWS = 1500


def _draw(setting: tuple[int, int, float, float, float], rng: np.random.Generator) -> np.ndarray:
    seeds, questions, seed_sd, question_sd, residual_sd = setting
    effects = seed_sd * rng.standard_normal((seeds, 1)) + question_sd * rng.standard_normal((1, questions))
    return effects + residual_sd * rng.standard_normal((seeds, questions))


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_interval_covers_the_true_mean_in_95_percent_of_studies(setting: tuple[int, int, float, float, float]) -> None:
    rng = np.random.default_rng(1)
    found = [estimate(_draw(setting, rng).tolist()).interval for _ in range(DRAWS)]
    covered = sum(interval is not None and interval.low <= 0 <= interval.high for interval in found)
    least = stats.binom.ppf(0.001, DRAWS, 0.945)  # the crossed model's approximation is up to half a point short
    assert least <= covered, f"covered {covered / DRAWS:.3f}"


def test_seeds_alone_do_not_cover_where_questions_vary() -> None:
    rng = np.random.default_rng(2)
    found = [estimate(_draw((3, 130, 0.0, 1.0, 0.3), rng).tolist()).seeds_only for _ in range(DRAWS)]
    covered = sum(interval is not None and interval.low <= 0 <= interval.high for interval in found)
    assert covered / DRAWS < 0.6


def test_the_seeds_only_interval_is_the_paired_t_interval() -> None:
    ours, theirs = np.random.default_rng(3).standard_normal((2, 4, 7))
    found = paired_difference(ours.tolist(), theirs.tolist())
    expected = stats.ttest_rel(ours.mean(axis=1), theirs.mean(axis=1)).confidence_interval(0.95)
    assert found.seeds_only is not None
    assert (found.seeds_only.low, found.seeds_only.high) == pytest.approx((expected.low, expected.high))


def test_a_larger_table_with_additive_effects_has_the_variance_of_the_crossed_model() -> None:
    """Six seeds with no effect of their own and no residual: only the questions' spread remains, with Q - 1 degrees."""
    question_Q = np.random.default_rng(4).standard_normal(50)
    found = estimate(np.tile(question_Q, (6, 1)).tolist())
    half = stats.t.ppf(0.975, 49) * question_Q.std(ddof=1) / math.sqrt(50)
    assert found.interval is not None
    assert found.interval.half_width == pytest.approx(half)


def test_the_interval_is_never_narrower_than_that_of_the_seeds() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        found = estimate(_draw((3, 5, 0.5, 0.5, 1.0), rng).tolist())
        assert found.interval and found.seeds_only
        assert found.interval.half_width >= found.seeds_only.half_width


def test_no_variance_gives_an_interval_of_no_width() -> None:
    found = estimate([[2.0, 2.0, 2.0]] * 3)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (2.0, 2.0)


def test_ties_everywhere_are_a_difference_of_zero() -> None:
    scores = np.random.default_rng(6).standard_normal((3, 9)).tolist()
    found = paired_difference(scores, scores)
    assert found.mean == 0.0
    assert found.interval and found.interval.low == found.interval.high == 0.0


@pytest.mark.parametrize("shape", [(1, 50), (3, 1), (1, 1)])
def test_one_seed_or_one_question_has_no_interval(shape: tuple[int, int]) -> None:
    found = estimate(np.ones(shape).tolist())
    assert (found.mean, found.interval) == (1.0, None)


def test_only_seeds_that_both_arms_finished_are_counted() -> None:
    found = paired_difference([[3.0, 3.0], None, [5.0, 5.0]], [[1.0, 2.0], [0.0, 0.0], None])
    assert (found.seeds, found.mean) == (1, 1.5)


def test_no_finished_seed_at_all() -> None:
    empty = Estimate(mean=None, seeds=0, questions=0, interval=None, seeds_only=None)
    assert paired_difference([None, None], [[1.0], [2.0]]) == empty


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        estimate([[1.0, bad]])


def test_rows_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="same questions"):
        estimate([[1.0, 2.0], [1.0]])
    with pytest.raises(ValueError):
        paired_difference([[1.0, 2.0]], [[1.0]])
