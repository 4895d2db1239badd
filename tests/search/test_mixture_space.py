"""The space of mixtures: tasks and proportions, against all tasks by size and against nothing learned before."""

from dataclasses import replace
from typing import Any

import pytest

from raylab.recipe import ModelSpec
from raylab.search.space import Space, load_space
from tests.search.small_study import SETTING, Draws

BY_SIZE = "proportions by size"


@pytest.fixture(scope="module")
def space() -> Space:
    return load_space("mixture")


def test_draws_reach_mixtures_with_and_without_each_task(space: Space) -> None:
    drawn: list[Any] = [space.recipe(Draws(seed), SETTING) for seed in range(200)]
    given = [set(recipe.stages[0].tasks) for recipe in drawn if recipe.stages[0].weights]
    assert {space.family(recipe) for recipe in drawn} == {"proportions given", "proportions by size, levelled"}
    for name in SETTING.sources:
        assert any(name in tasks for tasks in given) and any(name not in tasks for tasks in given)
    assert all(min(recipe.stages[0].weights, default=1) > 0 for recipe in drawn)
    assert all(set(recipe.stages[0].tasks) == set(SETTING.sources) for recipe in drawn if not recipe.stages[0].weights)


def test_the_baseline_has_all_tasks_by_size_all_else_equal(space: Space) -> None:
    for seed in range(20):
        recipe: Any = space.recipe(Draws(seed), SETTING)
        baseline: Any = space.baseline(recipe, SETTING)
        (stage,), (ours,) = baseline.stages, recipe.stages
        assert space.family(baseline) == BY_SIZE and stage.tasks == SETTING.sources
        assert replace(stage, tasks=ours.tasks, weights=ours.weights, temperature=ours.temperature) == ours
        assert space.family(space.plain(recipe)) == "no pre-finetuning" and space.plain(recipe).finetune == recipe.finetune


def test_the_first_are_all_by_size_all_alike_and_what_is_most_like_the_target(space: Space) -> None:
    recipes: list[Any] = [space.decode(start, SETTING)[0] for start in space.starts(SETTING)]
    assert [space.family(recipe) for recipe in recipes] == [BY_SIZE, *["proportions given"] * 3]
    mixtures = [dict(zip(recipe.stages[0].tasks, recipe.stages[0].weights, strict=True)) for recipe in recipes[1:]]
    assert mixtures[0] == pytest.approx(dict.fromkeys(SETTING.sources, 1 / 3))
    assert mixtures[1] == pytest.approx({"like": 0.5, "unlike": 0.5})
    assert mixtures[2] == {"like": 1.0}


def test_a_task_may_be_left_out_by_hand(space: Space) -> None:
    setting = replace(SETTING, fixed={"weights.unlike": "0"})
    space.check_fixed(setting)
    for seed in range(20):
        stage: Any = space.recipe(Draws(seed, setting.fixed), setting).stages[0]
        assert not stage.weights or "unlike" not in stage.tasks


def test_a_checkpoint_is_trained_more_slowly(space: Space) -> None:
    setting = replace(SETTING, base=ModelSpec(family="roberta", pretrained="some/checkpoint"))
    slow, fast = (space.decode({}, one)[0] for one in (setting, SETTING))
    for recipe, other in zip((*slow.stages, slow.finetune), (*fast.stages, fast.finetune), strict=True):
        assert recipe.optimization.learning_rate < other.optimization.learning_rate  # type: ignore[attr-defined]
