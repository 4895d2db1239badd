"""A space's list: recipe n follows from the seed and n, and spreads over what the space allows."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from raylab.search.listed import listed
from raylab.search.space import Chooser, Domain, Setting, load_space
from tests.search.small_study import SETTING

SPACE = load_space("masking")


def values(number: int, seed: int = 0, setting: Setting = SETTING) -> dict[str, Any]:
    return listed(SPACE, setting, seed, number)[1]


def test_it_begins_with_the_starts_and_is_the_same_each_time() -> None:
    assert [values(n)["policy"] for n in range(3)] == ["uniform", "salient", "span"]
    assert [values(n) for n in range(8)] == [values(n) for n in range(8)]
    assert values(2) == values(2, seed=1), "starts are no draws"
    assert values(5) != values(5, seed=1)


def test_the_recipe_is_that_of_the_values() -> None:
    for number in range(12):
        recipe, drawn = listed(SPACE, SETTING, 0, number)
        assert SPACE.decode(drawn, SETTING)[:2] == (recipe, drawn)


def test_a_fixed_choice_leaves_the_others_as_they_were() -> None:
    fixed = replace(SETTING, fixed={"target": "spans"})
    for number in range(3, 20):
        free = values(number)
        assert values(number, setting=fixed) == {name: free[name] for name in free if name != "target"}


def test_starts_that_differ_only_in_what_is_fixed_are_one() -> None:
    fixed = replace(SETTING, fixed={"policy": "span"})
    assert len({str(values(n, setting=fixed)) for n in range(6)}) == 6


@pytest.mark.parametrize(
    ("domain", "middle"),
    [
        (Domain(default=1.0, low=1.0, high=9.0), 5.0),
        (Domain(default=0.01, low=0.001, high=0.1, log=True), 0.01),
        (Domain(default=1, low=1, high=9, integer=True), 5),
        (Domain(default=1, low=1, high=64, integer=True, log=True), 8),
    ],
)
def test_numbers_are_drawn_evenly_over_their_range(domain: Domain, middle: float) -> None:
    drawn = [_drawn(domain, number) for number in range(400)]
    assert all(domain.check("x", value) == value for value in drawn)
    assert 120 < sum(value < middle for value in drawn) < 280


def test_options_are_drawn_evenly() -> None:
    counts = Counter(_drawn(Domain(default="a", options=("a", "b", "c", "d")), number) for number in range(400))
    assert len(counts) == 4 and min(counts.values()) > 60


def _drawn(domain: Domain, number: int) -> Any:
    def recipe(choose: Chooser, setting: Setting) -> Any:
        return choose._choose("x", domain)

    return listed(replace(SPACE, recipe=recipe, starts=lambda setting: []), SETTING, 0, number)[0]
