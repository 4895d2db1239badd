"""Policies that a study learns first: a run of their own in the ledger, counted in plan, caps and predictions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raylab.app.teaching import taught
from raylab.errors import UserError
from raylab.masking.learned.product import cards, key_of, learned
from raylab.masking.policies.learned import Learned
from raylab.masking.policies.random_spans import RandomSpans
from raylab.masking.policies.salient import Salient
from raylab.masking.policy import Policy
from raylab.recipe import encode
from raylab.search.labels import label
from raylab.search.learning import LEARN, Lesson, before_learning
from raylab.search.ledger import Study
from raylab.search.predicted import ROLES, own_total
from raylab.search.space import load_space
from tests import tiny
from tests.masking.learned.planted import QUICK, task
from tests.search.small_study import SETTING, conduct_in


def _lesson(data: tiny.Prepared) -> Lesson:
    cost = QUICK.cost(data, 0)
    return Lesson(name="supervised", key=key_of(QUICK, data, 0), how=QUICK, seed=0, tokens=cost["tokens"], flops=cost["flops"])


def test_a_lesson_is_a_run_of_the_ledger_that_counts(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path, task())
    conduct, ledger = conduct_in(tmp_path / "study", data)
    lesson = _lesson(data)
    assert lesson.due(conduct.study)
    steps = list(lesson.run(data, conduct.study, ledger))
    assert steps[-1].step == steps[-1].steps == len(steps)
    study = Study.read(tmp_path / "study")
    (run,) = study.of_role(LEARN)
    assert not lesson.due(study) and (run.key, run.state) == (lesson.key, "finished")
    assert run.metrics["tokens"] == own_total(study, "tokens", *ROLES["learning"]) == lesson.tokens
    assert run.metrics["flops"] == lesson.flops and run.seconds["total"] > 0
    assert [folder.name for folder in cards(tmp_path)] == [lesson.key]
    passages = data.corpus.passages(np.arange(3), Learned(product=lesson.key).needs())
    assert all(spans.scores_S is not None for spans in passages.spans.values())


def test_what_was_learned_is_found_again(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path, task())
    assert len(list(learned(QUICK, data, 0, tmp_path))) > 0
    assert not list(learned(QUICK, data, 0, tmp_path))
    assert key_of(QUICK, data, 0) != key_of(QUICK, data, 1)


def test_a_search_without_passages_that_hold_answers_goes_on_without_the_policy(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path)  # 12 passages
    found = taught(["uniform", "supervised"], [], data, 0, tmp_path, optional=("supervised",), known={})
    assert found.policies == ("uniform",) and not found.lessons
    assert "Without the policy 'supervised'" in found.notes[0] and "Give a --corpus" in found.notes[0]
    with pytest.raises(UserError, match="too few passages"):
        taught(["uniform", "supervised"], [], data, 0, tmp_path, optional=(), known={})


def test_a_card_is_taken_in_under_its_folders_name(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path, task())
    steps = learned(QUICK, data, 0, tmp_path / "elsewhere")
    while True:
        try:
            next(steps)
        except StopIteration as end:
            folder = end.value.rename(tmp_path / "mine")
            break
    found = taught(["uniform"], [str(folder)], data, 0, tmp_path, optional=(), known={})
    assert found.policies == ("uniform", "mine") and not found.lessons
    assert cards(tmp_path)[0].name == found.learned["mine"]
    data.corpus.annotate(Learned(product=found.learned["mine"]).needs()[0])
    with pytest.raises(UserError, match="there is a policy 'uniform' already"):
        taught(["uniform"], [str(folder.rename(tmp_path / "uniform"))], data, 0, tmp_path, optional=(), known={})
    other = tiny.prepared(tmp_path / "other")
    with pytest.raises(UserError, match="learned with another tokenizer"):
        taught([], [str(tmp_path / "uniform")], other, 0, tmp_path, optional=(), known={})


def test_a_space_draws_a_learned_policy_under_its_name() -> None:
    space = load_space("masking")
    setting = replace(SETTING, policies=("uniform", "supervised", "mine"), learned={"supervised": "abc", "mine": "def"})
    for name, product in setting.learned.items():
        recipe, values, _ = space.decode({"policy": name, f"{name}.top": 2}, setting)
        assert recipe.stages[0].policy == Learned(product=product, top=2)  # type: ignore[attr-defined]
        assert space.family(recipe) == name and values[f"{name}.top"] == 2
        assert label(encode(recipe)).startswith(f"{name} top=2 -> spans") and product not in label(encode(recipe))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(Learned(spans=2), Salient(spans=2)), (RandomSpans(of=Learned()), RandomSpans(of=Salient())), (Salient(), Salient())],
)
def test_what_is_not_learned_yet_is_planned_as_salient_masking(policy: Policy, expected: Policy) -> None:
    recipe = load_space("masking").decode({}, SETTING)[0]
    asked = replace(recipe, stages=(replace(recipe.stages[0], policy=policy),))  # type: ignore[type-var]
    assert before_learning(asked).stages[0].policy == expected  # type: ignore[attr-defined]
