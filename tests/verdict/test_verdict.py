"""The decision, its sentence, and the whole verdict."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from raylab.verdict.decision import decide, sentence
from raylab.verdict.paired import Estimate, Interval, estimate
from raylab.verdict.verdict import Arm, Role, conclude


def _estimate(low: float, high: float) -> Estimate:
    both = Interval(low=low, high=high)
    return Estimate(mean=(low + high) / 2, seeds=3, questions=100, interval=both, seeds_only=both)


def _arm(role: Role, scores: Sequence[Sequence[float] | None], label: str = "") -> Arm:
    label = label or role
    return Arm(label=label, role=role, keys=[f"{label}-{i}" for i in range(len(scores))], scores=scores)


def _noise(mean: float, questions: int = 40, seeds: int = 3, seed: int = 0) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return (mean + 0.1 * rng.standard_normal((seeds, questions))).tolist()


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "expected"),
    [
        (1.0, 2.0, True, "better"),
        (1.0, 2.0, False, "worse"),
        (-2.0, -1.0, False, "better"),
        (-2.0, -1.0, True, "worse"),
        (-1.0, 1.0, True, "no_reliable_difference"),
        (0.0, 2.0, True, "no_reliable_difference"),
        (0.0, 0.0, False, "no_reliable_difference"),
    ],
)
def test_decide(low: float, high: float, higher_is_better: bool, expected: str) -> None:
    assert decide(_estimate(low, high), higher_is_better) == expected


def test_one_seed_decides_nothing() -> None:
    assert decide(estimate([[1.0, 2.0]]), True) == "not_run"


def test_the_sentence_of_a_metric_where_less_is_better() -> None:
    text = sentence("salient (rate 0.3)", "uniform", _estimate(-4.0, -2.2), "bits_per_answer", False)
    assert text == "salient (rate 0.3) beats uniform by 3.1 bits per answer [2.2, 4.0], 3 paired seeds"


def test_the_sentence_of_exact_match_counts_points() -> None:
    text = sentence("span", "uniform", _estimate(0.004, 0.02), "exact_match", True)
    assert text == "span beats uniform by 1.2 points of exact match [0.4, 2.0], 3 paired seeds"


def test_a_limit_that_excludes_zero_is_not_printed_as_zero() -> None:
    assert "[0.02, 1.82]" in sentence("a", "b", _estimate(0.02, 1.82), "bits_per_answer", False)


def test_a_loss_is_told_in_its_own_direction() -> None:
    text = sentence("a", "b", _estimate(1.0, 2.0), "bits_per_answer", False)
    assert text == "a loses to b by 1.5 bits per answer [1.0, 2.0], 3 paired seeds"


@pytest.mark.parametrize(("higher_is_better", "favoured"), [(False, "b"), (True, "a")])
def test_no_reliable_difference_shows_both_signs(higher_is_better: bool, favoured: str) -> None:
    text = sentence("a", "b", _estimate(-0.5, 1.5), "bits_per_answer", higher_is_better)
    told = f"0.5 bits per answer [-0.5, 1.5] in favour of {favoured}"
    assert text == f"a and b can't be told apart: {told}, 3 paired seeds"


def test_ties_favour_nobody() -> None:
    text = sentence("a", "b", estimate([[0.0, 0.0]] * 3), "bits_per_answer", False)
    assert text == "a and b can't be told apart: 0.0 bits per answer [0.0, 0.0], 3 paired seeds"


def test_a_comparison_of_nothing_says_so() -> None:
    assert sentence("a", "b", estimate([None]), "f1", True) == "a and b have no finished seed in common"


def test_the_verdict_of_a_clear_winner() -> None:
    arms = [_arm("winner", _noise(5.0)), _arm("baseline", _noise(8.0, seed=1)), _arm("beside", _noise(6.0, seed=2), "none")]
    verdict = conclude(arms, "bits_per_answer", False)
    assert verdict["decision"] == "better"
    assert verdict["difference"] == pytest.approx(-3.0, abs=0.1)
    assert verdict["low"] < verdict["difference"] < verdict["high"] < 0
    assert (verdict["winner"], verdict["baseline"], verdict["seeds"], verdict["prose"]) == ("winner", "baseline", 3, None)
    [beside] = verdict["beside"]
    assert beside["decision"] == "better" and beside["difference"] == pytest.approx(-1.0, abs=0.1)
    assert beside["sentence"].startswith("winner beats none by 0.99") and "Holm" not in beside["sentence"]
    assert verdict["score_low"] < verdict["score"] < verdict["score_high"] and verdict["n_seeds"] == 3
    assert [arm["keys"][0] for arm in verdict["arms"]] == ["winner-0", "baseline-0", "none-0"]


def test_prose_that_decides_otherwise_is_said() -> None:
    mask = [i < 20 for i in range(40)]
    ours = [[8.0 + x if prose else 2.0 + x for prose, x in zip(mask, row, strict=True)] for row in _noise(0.0)]
    verdict = conclude([_arm("winner", ours), _arm("baseline", _noise(8.0, seed=1))], "bits_per_answer", False, mask)
    assert verdict["decision"] == "better"
    assert verdict["prose"]["decision"] == "no_reliable_difference"
    assert "On prose alone (20 examples) the answer is another" in verdict["sentence"]


def test_prose_that_agrees_is_not_repeated() -> None:
    mask = [i < 20 for i in range(40)]
    verdict = conclude([_arm("winner", _noise(5.0)), _arm("baseline", _noise(8.0, seed=1))], "bits_per_answer", False, mask)
    assert verdict["prose"]["decision"] == "better"
    assert "prose" not in verdict["sentence"]


@pytest.mark.parametrize("mask", [None, [True] * 40, [False] * 40])
def test_prose_is_null_where_it_adds_nothing(mask: list[bool] | None) -> None:
    arms = [_arm("winner", _noise(5.0)), _arm("baseline", _noise(8.0, seed=1))]
    assert conclude(arms, "bits_per_answer", False, mask)["prose"] is None


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        ([], "no run finished"),
        ([_arm("winner", _noise(1.0))], "no baseline"),
        ([_arm("winner", _noise(1.0), "uniform"), _arm("baseline", _noise(1.0), "uniform")], "baseline itself"),
        ([_arm("winner", _noise(1.0, seeds=1)), _arm("baseline", _noise(2.0, seeds=1))], "at least 2 paired seeds"),
        ([_arm("winner", [None, None]), _arm("baseline", _noise(2.0, seeds=2))], "no finished seed in common"),
    ],
)
def test_a_verdict_that_was_not_run_says_why(arms: list[Arm], reason: str) -> None:
    verdict = conclude(arms, "bits_per_answer", False)
    assert verdict["decision"] == "not_run"
    assert reason in verdict["sentence"]
    assert verdict["low"] is None


def test_a_baseline_that_wins_is_told_beside_the_best_of_the_others() -> None:
    arms = [
        _arm("winner", _noise(1.0), "plain"),
        _arm("baseline", _noise(1.0), "plain"),
        _arm("beside", _noise(4.0, seed=1), "other"),
    ]
    verdict = conclude(arms, "bits_per_answer", False)
    assert verdict["decision"] == "not_run" and verdict["beside"][0]["decision"] == "better"
    assert verdict["sentence"] == f"The search's winner is the baseline itself: {verdict['beside'][0]['sentence']}"
    assert "plain beats other by 2.99 bits per answer" in verdict["sentence"]


def test_two_winners_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="one winner"):
        conclude([_arm("winner", _noise(1.0), "a"), _arm("winner", _noise(1.0), "b")], "f1", True)


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return all(map(_plain, value)) if isinstance(value, list) else isinstance(value, (str, bool, int, float, type(None)))


def test_a_verdict_is_finite_plain_json() -> None:
    arms = [_arm("winner", [None, *_noise(5.0, seeds=2)]), _arm("baseline", _noise(8.0)), _arm("beside", [None] * 3, "none")]
    verdict = conclude(arms, "bits_per_answer", False, [True] * 39 + [False])
    assert _plain(verdict)
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict


def test_comparisons_beside_the_headline_are_adjusted_for_each_other() -> None:
    """Alone, b would count as different; beside a second comparison it does not."""
    row_S = [0.5, 1.0, 1.15, 1.9]
    winner = [[0.0, 0.1, -0.1, 0.0]] * 4
    b = [[seed, seed + 0.1, seed - 0.1, seed] for seed in row_S]
    arms = [_arm("winner", winner), _arm("baseline", _noise(8.0, questions=4, seeds=4)), _arm("beside", b, "b")]
    [alone] = conclude(arms, "bits_per_answer", False)["beside"]
    same = _arm("beside", [[0.0, 0.1, -0.1, seed] for seed in (0.1, -0.2, 0.0, 0.1)], "same")
    both = {row["label"]: row for row in conclude([*arms, same], "bits_per_answer", False)["beside"]}
    assert alone["decision"] == "better" and alone["p"] < 0.05
    assert both["b"]["decision"] == "no_reliable_difference" and both["b"]["p"] == pytest.approx(2 * alone["p"])
    assert both["b"]["low"] < alone["low"] and both["b"]["high"] > 0
    assert both["same"]["decision"] == "no_reliable_difference"
    assert "adjusted for the other comparisons (Holm)" in both["b"]["sentence"]


def test_what_selection_could_not_tell_apart_is_said() -> None:
    arms = [_arm("winner", _noise(5.0), "salient"), _arm("baseline", _noise(8.0, seed=1), "uniform")]
    verdict = conclude(arms, "bits_per_answer", False, tied=["span"])
    assert verdict["sentence"].endswith("3 paired seeds; span and salient can't be told apart on dev.")
    many = conclude(arms, "bits_per_answer", False, tied=["a", "b", "c", "d", "e"])
    assert many["sentence"].endswith("; a, b, c, 2 more and salient can't be told apart on dev.")
    assert many["tied"] == ["a", "b", "c", "d", "e"]


def test_looks_widen_the_interval_of_the_headline_alone() -> None:
    arms = [_arm("winner", _noise(5.0)), _arm("baseline", _noise(8.0, seed=1)), _arm("beside", _noise(6.0, seed=2), "none")]
    plain, looked = (conclude(arms, "bits_per_answer", False, confidence=level) for level in (0.95, 0.97))
    assert looked["low"] < plain["low"] and looked["high"] > plain["high"]
    assert looked["beside"] == plain["beside"] and looked["arms"] == plain["arms"]
