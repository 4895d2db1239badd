"""The bench of searches for mixtures: its tasks are as planted, its table answers, and goals are judged by what is told."""

import itertools
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylab.bench import mixture_search
from raylab.bench._mixtures import planted, searched
from raylab.bench._mixtures.recorded import MIXTURES, Recorded, drawn, recorded
from raylab.data.prepared import Prepared
from raylab.data.task import TaskData


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return planted.prepared(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def tasks() -> dict[str, TaskData]:
    return planted.tasks()


def classes(task: TaskData) -> dict[str, int]:
    """The class of each word, as a reader would guess it: that of most texts it stands in."""
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for example in itertools.chain(*task.splits.values()):
        for word in example.text.split():
            seen[word][example.label] += 1
    return {word: counts.most_common(1)[0][0] for word, counts in seen.items()}


def agreement(one: TaskData, other: TaskData) -> float | None:
    ours, theirs = classes(one), classes(other)
    both = ours.keys() & theirs.keys()
    return float(np.mean([ours[word] == theirs[word] for word in both])) if both else None


def test_tasks_help_hurt_or_do_neither_by_construction(tasks: dict[str, TaskData]) -> None:
    target, helper_a, helper_b = (tasks[name] for name in (planted.TARGET, *planted.HELPFUL))
    assert (agreement(target, helper_a) or 0) > 0.85 and (agreement(target, helper_b) or 0) > 0.85
    assert classes(helper_a).keys() | classes(helper_b).keys() == classes(target).keys()
    assert all((agreement(target, tasks[name]) or 1) < 0.6 for name in planted.HARMFUL)
    assert all(agreement(target, tasks[name]) is None for name in planted.NEUTRAL)
    assert {name: len(tasks[name].splits["train"]) for name in planted.SOURCES} == planted.BY_SIZE


def test_no_text_stands_on_two_sides(tasks: dict[str, TaskData]) -> None:
    for task in tasks.values():
        texts = [example.text for split in task.splits.values() for example in split]
        assert len(texts) == len(set(texts))


def test_a_recipe_has_the_sources_with_a_weight_and_is_told_by_them() -> None:
    recipe: Any = planted.recipe({"helper_a": 3.0, "neutral_b": 1.0, "harmful_a": 0.0})
    assert recipe.stages[0].tasks == ("helper_a", "neutral_b") and recipe.stages[0].weights == (0.75, 0.25)
    assert searched.weights_of(recipe) == dict.fromkeys(planted.SOURCES, 0.0) | {"helper_a": 0.75, "neutral_b": 0.25}
    assert planted.recipe(None).stages == ()


def test_the_table_is_of_the_mixtures_that_are_drawn() -> None:
    table = recorded()
    assert table.losses_MR.shape == (MIXTURES, 2) and np.isfinite(table.losses_MR).all()
    assert table.weights_MS.sum(axis=1) == pytest.approx(1, abs=1e-5)
    for number in (0, MIXTURES - 1):
        assert table.weights_MS[number] == pytest.approx(list(drawn(number).values()), abs=1e-6)
        assert table.nearest(list(drawn(number).values())) == number


def test_what_is_planted_is_in_the_table() -> None:
    """More of what helps is better, more of what hurts is worse."""
    table = recorded()
    helpful, harmful = table.weights_MS[:, :2].sum(axis=1), table.weights_MS[:, 2:4].sum(axis=1)
    assert np.corrcoef(helpful, table.means)[0, 1] < -0.5
    assert np.corrcoef(harmful, table.means)[0, 1] > 0.3


@pytest.mark.parametrize("sampler", ["gp", "random"])
def test_a_search_ends_with_the_first_good_mixture(sampler: str, data: Prepared) -> None:
    weights = np.array([list(drawn(number).values()) for number in range(50)])
    table = Recorded(weights_MS=weights, losses_MR=np.repeat(1 - weights[:, :1], 2, axis=1))
    counts = [searched.trials_until_good(sampler, seed, 30, table, data) for seed in range(2)]
    assert all(1 <= count <= 31 for count in counts)
    assert counts == [searched.trials_until_good(sampler, seed, 30, table, data) for seed in range(2)]


def test_a_search_that_trains_is_judged_against_both(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """With scores in place of training: what helps is worth a bit, what hurts costs one."""

    def course(request: searched.Request, data: Prepared) -> searched.Course:
        weights = searched.weights_of(request.recipe) if request.recipe.stages else dict.fromkeys(planted.SOURCES, 0.0)
        helpful, harmful = (sum(weights[name] for name in names) for names in (planted.HELPFUL, planted.HARMFUL))
        luck = np.random.default_rng(request.seeds.init % 2**32).normal(0, 0.01, 300)
        scores = (2 - helpful + harmful + luck).tolist()
        return searched.Course(
            metrics={f"{split}_bits_per_label": float(np.mean(scores)) for split in request.splits},
            scores={split: {"bits_per_label": scores} for split in request.splits},
        )

    monkeypatch.setattr(searched, "_trained", course)
    real = searched.really("gp", 0, 16, data)
    assert set(real.verdicts) == {"by size", "even"}
    assert [verdict["decision"] for verdict in real.verdicts.values()] == ["better", "better"]
    assert real.verdicts["by size"]["baseline"] == "by size, all else equal"
    assert sum(real.weights[name] for name in planted.HELPFUL) > 0.6


@pytest.mark.parametrize(
    ("share", "helpful", "decision", "held"),
    [(0.5, None, "", True), (0.51, None, "", False), (0.4, 0.9, "better", True), (0.4, 0.7, "better", False),
     (0.4, 0.9, "no_reliable_difference", False)],
)  # fmt: skip
def test_the_goals(share: float, helpful: float | None, decision: str, held: bool) -> None:
    weights = dict.fromkeys(planted.SOURCES, 0.0) | {"helper_a": helpful or 0.0}
    real = None if helpful is None else {"weights": weights, "verdicts": {"even": {"decision": decision}}}
    assert mixture_search.met({"share_of_random": share, "real": real}) is held


def test_the_table_lies_in_the_package() -> None:
    assert Path(mixture_search.FILE).parent == Path(planted.__file__).parent
