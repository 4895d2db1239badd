"""The space of synthetic tasks: every task, against the simplest and against none."""

from dataclasses import replace
from typing import Any

import pytest

from raylab.errors import UserError
from raylab.recipe import ModelSpec
from raylab.search.space import Space, load_space
from raylab.synthetic.task import SyntheticTask
from tests.search.small_study import SETTING, Draws


@pytest.fixture(scope="module")
def space() -> Space:
    return load_space("synthetic")


def test_draws_and_starts_reach_every_task(space: Space) -> None:
    started = [space.family(space.decode(start, SETTING)[0]) for start in space.starts(SETTING)]
    assert started[0] == "identity"
    assert sorted(started) == list(SyntheticTask.registry.names())
    assert {space.family(space.recipe(Draws(seed), SETTING)) for seed in range(400)} == set(started)


def test_the_baseline_is_the_simplest_task_all_else_equal(space: Space) -> None:
    for seed in range(20):
        recipe: Any = space.recipe(Draws(seed), SETTING)
        baseline: Any = space.baseline(recipe, SETTING)
        assert baseline.stages[0].task.name() == "identity"
        assert replace(baseline, stages=(replace(baseline.stages[0], task=recipe.stages[0].task),)) == recipe
        assert space.family(space.plain(recipe)) == "none"


def test_a_base_model_without_a_decoder_is_told(space: Space) -> None:
    with pytest.raises(UserError, match="synthetic tasks are written by a decoder, and the base model has none"):
        space.recipe(Draws(0), replace(SETTING, base=ModelSpec(family="roberta")))
