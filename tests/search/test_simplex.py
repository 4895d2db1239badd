"""Proportions on a simplex: their distribution, their bounds, which parts are in, and back again."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import beta, kstest

from raylab.errors import UserError
from raylab.search.simplex import Simplex

PARTS = ("a", "b", "c", "d")


def drawn(count: int = 2000, parts: tuple[str, ...] = PARTS, **settings: Any) -> np.ndarray:
    simplex = Simplex.of("weights", parts, **settings)
    places = np.random.default_rng(5).random((count, len(parts)))
    return np.array([simplex.proportions(row) for row in places])


@pytest.mark.parametrize("concentration", [0.5, 1.0, 3.0])
def test_even_places_give_a_dirichlet_distribution(concentration: float) -> None:
    proportions = drawn(concentration=concentration)
    assert proportions.sum(axis=1) == pytest.approx(1)
    for part in proportions.T:  # a part's proportion has a beta distribution
        assert kstest(part, beta(concentration, 3 * concentration).cdf).pvalue > 0.01


def test_parts_are_left_out_as_often_as_asked() -> None:
    proportions = drawn(out=0.4)
    assert np.mean(proportions == 0) == pytest.approx(0.4, abs=0.03)
    assert proportions.sum(axis=1) == pytest.approx(1)
    everything = proportions[(proportions > 0).all(axis=1)]
    assert kstest(everything[:, 0], beta(1, 3).cdf).pvalue > 0.01


def test_if_all_are_out_the_nearest_to_being_in_is_all() -> None:
    simplex = Simplex.of("weights", PARTS, out=0.5)
    assert simplex.proportions([0.1, 0.3, 0.2, 0.0]) == (0, 1, 0, 0)


def test_bounds_hold_and_the_others_keep_their_proportions() -> None:
    low, high = {"a": 0.2}, {"b": 0.3, "c": 0.25}
    proportions = drawn(low=low, high=high, out=0.3)
    assert proportions.sum(axis=1) == pytest.approx(1)
    assert proportions[:, 0].min() >= 0.2 - 1e-12
    assert proportions[:, 1].max() <= 0.3 + 1e-12
    assert proportions[:, 2].max() <= 0.25 + 1e-12
    free = Simplex.of("weights", PARTS).proportions([0.9, 0.5, 0.3, 0.2])
    bound = Simplex.of("weights", PARTS, high={"a": 0.4}).proportions([0.9, 0.5, 0.3, 0.2])
    assert bound[0] == pytest.approx(0.4)
    assert np.array(bound[1:]) / bound[1] == pytest.approx(np.array(free[1:]) / free[1])


def test_bounds_bring_parts_in_until_they_can_be_met() -> None:
    assert Simplex.of("weights", PARTS, high=0.5, out=0.9).proportions([0.1, 0.2, 0.3, 0.4]) == pytest.approx((0, 0, 0.5, 0.5))


def test_equal_bounds_leave_nothing_to_choose() -> None:
    assert drawn(5, low=0.25, high=0.25) == pytest.approx(np.full((5, 4), 0.25))


@pytest.mark.parametrize("out", [0.0, 0.3])
@pytest.mark.parametrize("proportions", [{"a": 1.0}, {"a": 0.5, "c": 0.5}, {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}])
def test_places_are_those_of_their_proportions(proportions: dict[str, float], out: float) -> None:
    simplex = Simplex.of("weights", PARTS, concentration={"a": 0.5, "b": 2.0}, out=out)
    expected = [proportions.get(part, 0.0) for part in PARTS]
    assert simplex.proportions(simplex.places(proportions)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"high": 0.2}, "at most 0.8"),
        ({"low": 0.3}, "at least 1.2"),
        ({"low": {"a": 0.6}, "high": {"a": 0.5}}, "gives a from 0.6 to 0.5"),
        ({"low": {"e": 0.1}}, "unknown part of weights 'e'"),
        ({"concentration": 0.0}, "expected positive"),
        ({"out": 1.0}, "up to, but not including, 1"),
    ],
)
def test_what_nothing_meets_is_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Simplex.of("weights", PARTS, **settings)


def test_parts_stand_once() -> None:
    with pytest.raises(UserError, match="each once"):
        Simplex.of("weights", ("a", "a"))
