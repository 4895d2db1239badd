"""Which recipe wins the race, what it costs, and how honest its score is; by simulation and at the edges."""

import math

import numpy as np
import pytest

from raylab.verdict import selection

NAN = math.nan


def _raced(true_C: np.ndarray, rng: np.random.Generator, noise: float = 1.0) -> tuple[np.ndarray, int]:
    """A whole race over candidates of these losses: its table, and the runs it took beyond exploration."""
    drawn_CS = true_C[:, None] + noise * rng.standard_normal((len(true_C), 6)) + rng.standard_normal(6)
    losses_CS, runs = drawn_CS[:, :1], 0
    while asked := selection.due(losses_CS):
        latest = np.full(len(true_C), NAN)
        latest[asked] = drawn_CS[asked, losses_CS.shape[1]]
        losses_CS, runs = np.column_stack([losses_CS, latest]), runs + len(asked)
    return losses_CS, runs


def test_it_finds_a_better_one_more_often_than_exploration_does() -> None:
    true_C = np.zeros(12)
    true_C[3] = -math.sqrt(2)  # one standard deviation of a paired difference
    rng = np.random.default_rng(0)
    races = [_raced(true_C, rng) for _ in range(300)]
    found = np.mean([selection.order(losses)[0] == 3 for losses, _ in races])
    alone = np.mean([selection.order(losses[:, :1])[0] == 3 for losses, _ in races])
    assert found > 0.78 > alone + 0.25
    assert np.mean([runs for _, runs in races]) < 16


def test_a_leader_far_ahead_needs_no_race() -> None:
    rng = np.random.default_rng(1)
    assert selection.due(np.array([[0.0], *([9 + x] for x in rng.standard_normal(11))])) == []


def test_rounds_never_grow_and_end() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        losses, _ = _raced(np.zeros(20), rng)
        still = np.isfinite(losses).sum(axis=0)
        assert all(count <= cap for count, cap in zip(still[1:], selection.CAPS, strict=False))
        assert (np.diff(still) <= 0).all()


def test_two_candidates_race() -> None:
    assert selection.due(np.array([[1.0], [1.2]])) == [0, 1]
    losses, _ = _raced(np.array([0.0, 5.0]), np.random.default_rng(3))
    assert selection.order(losses)[0] == 0


def test_one_candidate_and_none_do_not() -> None:
    assert selection.due(np.array([[1.0]])) == []
    assert selection.order(np.array([[1.0]])) == [0]
    assert selection.due(np.zeros((0, 1))) == selection.order(np.zeros((0, 1))) == []


def test_ties_go_to_the_earlier_without_a_race() -> None:
    assert selection.due(np.ones((5, 1))) == []
    assert selection.order(np.ones((5, 1))) == [0, 1, 2, 3, 4]


def test_without_noise_between_seeds_the_race_ends() -> None:
    """The spread alone lets two race once; then the seeds say that nothing but the recipe matters."""
    losses = np.array([[1.0, 1.0, 1.0], [1.001, 1.001, 1.001], [2.0, NAN, NAN], [3.0, NAN, NAN]])
    assert len(selection.due(losses)) in (0, 2)
    assert selection.order(losses)[0] == 0


def test_a_candidate_whose_run_failed_is_out() -> None:
    losses = np.array([[1.0, NAN], [1.1, 1.0], [1.2, 1.3], [5.0, NAN]])
    assert 0 not in selection.due(losses)
    assert selection.order(losses)[0] == 1


def test_a_round_in_which_all_failed_is_one_round_less() -> None:
    losses = np.array([[1.0, NAN], [1.1, NAN], [5.0, NAN]])
    assert selection.order(losses) == [0, 1, 2]
    assert selection.due(losses)[:2] == [0, 1]
    assert selection.due(np.column_stack([losses, np.full((3, 4), NAN)])) == [], "rounds are counted, not scores"


# --- estimates ----------------------------------------------------------------------------------------------------------


def test_one_seed_each_has_no_limits_and_is_told_as_it_is() -> None:
    found = selection.standings(np.array([[1.0], [2.0], [NAN]]))
    assert found[0] == selection.Standing(score=1.0, low=None, high=None, seeds=1)
    assert found[2] is None


def test_the_chosen_ones_estimate_is_nearer_the_truth_than_its_score() -> None:
    """All recipes alike: the best score of exploration is far too good, its estimate is not."""
    rng = np.random.default_rng(4)
    flattering, honest, covered = [], [], []
    for _ in range(300):
        true_C = 0.3 * rng.standard_normal(12)
        losses = true_C[:, None] + np.where(rng.random((12, 4)) < [1.0, 0.6, 0.3, 0.2], rng.standard_normal((12, 4)), NAN)
        best = int(np.argmin(losses[:, 0]))
        standing = selection.standings(losses)[best]
        assert standing is not None and standing.low is not None and standing.high is not None
        flattering.append(true_C[best] - losses[best, 0])
        honest.append(true_C[best] - standing.score)
        covered.append(standing.low <= true_C[best] <= standing.high)
    assert np.mean(flattering) > 1.0
    assert abs(np.mean(honest)) < 0.35 * np.mean(flattering)
    assert np.mean(covered) > 0.85


def test_seeds_that_are_hard_for_all_do_not_count_against_those_that_ran_them() -> None:
    rng = np.random.default_rng(5)
    losses = rng.standard_normal(6)[:, None] + 0.01 * rng.standard_normal((6, 3)) + [0.0, 50.0, -20.0]
    losses[3:, 1:] = NAN
    found = selection.standings(losses)
    scores = [standing.score for standing in found if standing]
    assert np.argsort(scores).tolist() == np.argsort(losses[:, 0]).tolist()


def test_no_noise_at_all_leaves_the_scores() -> None:
    found = selection.standings(np.array([[1.0, 1.0], [1.0, 1.0]]))
    assert [(s.score, s.low, s.high) for s in found if s] == [pytest.approx((1.0, 1.0, 1.0))] * 2


def test_what_the_race_could_not_tell_apart() -> None:
    rng = np.random.default_rng(6)
    losses = np.array([0.0, 0.05, 4.0, 8.0])[:, None] + 0.3 * rng.standard_normal((4, 4))
    losses[3, 1:] = NAN
    best = selection.order(losses)[0]
    assert selection.tied(losses) == [1 - best], "the third is behind, the fourth never raced"
    assert selection.tied(losses[:, :1]) == []
