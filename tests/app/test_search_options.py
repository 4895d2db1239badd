"""The options that decide a study's results: their defaults, what is refused, what a resumed study may be given."""

from pathlib import Path
from typing import Any

import pytest

from raylab.app.search import CHECKPOINT_EVERY_S, HANG_AFTER_S
from raylab.app.search_options import ASHA_FROM, BUDGETS, DECIDING, check_same, fitted, resolve, settings_of, stored
from raylab.cluster.runner import Placement
from raylab.errors import UserError
from raylab.masking.policy import policies_by_default
from raylab.models.sizes import SIZES
from raylab.search.space import load_space


def _stored(**given: Any) -> dict[str, Any]:
    return fitted(resolve(given, has_gpu=False), "question_answering")


def test_defaults_on_a_cpu() -> None:
    options = _stored()
    told = {name: options[name] for name in ("dataset", "space", "trials", "seeds", "seed", "scale", "precision", "metric")}
    assert told == {
        "dataset": "triviaqa", "space": "masking", "trials": 12, "seeds": 10, "seed": 0, "scale": "tiny", "precision": "float32",
        "metric": "bits_per_answer",
    }  # fmt: skip
    assert tuple(options["policies"]) == policies_by_default()
    assert set(options) == set(DECIDING)


def test_a_gpu_gets_a_larger_model_in_half_precision() -> None:
    options = resolve({}, has_gpu=True)
    assert (options["scale"], options["precision"]) == ("small", "bfloat16")
    assert resolve({"scale": "tiny", "precision": "float32"}, has_gpu=True)["scale"] == "tiny"


@pytest.mark.parametrize(("trials", "scheduler"), [(ASHA_FROM - 1, "none"), (ASHA_FROM, "asha"), (200, "asha")])
def test_asha_pays_from_24_trials_on(trials: int, scheduler: str) -> None:
    assert ASHA_FROM == 24
    options = _stored(trials=trials)
    assert options["scheduler"] == scheduler
    assert bool(settings_of(options, "atlas").rungs) == (scheduler == "asha")


def test_the_scheduler_that_was_asked_for_is_kept() -> None:
    assert _stored(trials=4, scheduler="asha")["scheduler"] == "asha"
    assert _stored(trials=40, scheduler="none")["scheduler"] == "none"


def test_an_option_that_came_later_than_the_ledger_has_its_default() -> None:
    old = {name: value for name, value in _stored().items() if name != "sampler"}
    assert stored(old) == {**_stored(), "sampler": "tpe", "learned": {}}, "the sampler of that time"
    assert settings_of(stored(old), "atlas").sampler == "tpe"
    check_same(stored(old), {"sampler": "tpe"}, "study")
    with pytest.raises(UserError, match="sampler was 'tpe', now 'list'"):
        check_same(stored(old), {"sampler": "list"}, "study")


@pytest.mark.parametrize("scale", SIZES)
def test_every_scale_has_its_budget(scale: str) -> None:
    setting = settings_of(_stored(scale=scale), "atlas").setting
    assert (setting.budget_tokens, setting.finetune_steps) == BUDGETS[scale]
    assert setting.base.scale == scale


def test_set_changes_budgets_and_fixes_choices_of_the_space() -> None:
    options = _stored(set=["budget_tokens=60_000", "finetune_steps=3e1", "batch_size=8", "target=spans", "salient.spans = 2"])
    setting = settings_of(options, "atlas").setting
    assert (setting.budget_tokens, setting.finetune_steps, setting.batch_size) == (60_000, 30, 8)
    assert setting.fixed == {"target": "spans", "salient.spans": "2"}
    load_space("masking").check_fixed(setting)


def test_the_last_of_two_values_counts() -> None:
    assert settings_of(_stored(set=["batch_size=8", "batch_size=16"]), "atlas").setting.batch_size == 16


def test_a_choice_of_a_policy_that_is_not_searched_is_unknown() -> None:
    setting = settings_of(_stored(policies="uniform", set=["salient.spans=2"]), "atlas").setting
    with pytest.raises(UserError, match=r"unknown choice for --set 'salient\.spans'"):
        load_space("masking").check_fixed(setting)


def test_policies_are_named_once_and_in_the_order_given() -> None:
    assert _stored(policies="span, uniform,span")["policies"] == ["span", "uniform"]


def test_paths_are_stored_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stored = _stored(data_dir=Path("data"))
    assert stored["data_dir"] == str(tmp_path / "data")
    monkeypatch.chdir("/")
    check_same(stored, {"data_dir": tmp_path / "data"}, "study")


def test_a_resumed_study_takes_no_options_or_the_same() -> None:
    stored = _stored(trials=4, policies="uniform,span", set=["batch_size=8"])
    check_same(stored, {}, "study")
    check_same(stored, {"trials": 4, "policies": "uniform,span", "set": ["batch_size=8"], "scale": "tiny"}, "study")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"trials": 8}, "trials was 12, now 8"),
        ({"seed": 1}, "seed was 0, now 1"),
        ({"seeds": 5}, "seeds was 10, now 5"),
        ({"base": "./t5"}, "base was not given, now './t5'"),
        ({"metric": "f1"}, "metric was 'bits_per_answer', now 'f1'"),
        ({"space": "mixture"}, "space was 'masking', now 'mixture'"),
        ({"answerable_only": False}, "answerable_only was True, now False"),
        ({"splits": {"train": "a.jsonl"}}, "splits.train was not given, now 'a.jsonl'"),
        ({"policies": "uniform,span"}, "now ['uniform', 'span']"),
        ({"set": ["batch_size=8"]}, "set was not given, now ['batch_size=8']"),
    ],
)
def test_what_differs_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as raised:
        check_same(_stored(), given, "study")
    assert str(raised.value).startswith("study was started with other settings: ")
    assert told in str(raised.value)


def test_all_differences_are_told_at_once() -> None:
    with pytest.raises(UserError, match=r"seed was 0, now 1; trials was 12, now 8"):
        check_same(_stored(), {"seed": 1, "trials": 8}, "study")


def test_the_help_tells_the_defaults_of_the_placement(tmp_path: Path) -> None:
    place = Placement(folder=tmp_path, lanes=1)
    assert (place.checkpoint_every_s, place.hang_after_s) == (CHECKPOINT_EVERY_S, HANG_AFTER_S)


def test_what_the_data_decide_follows_from_their_family() -> None:
    options = fitted(resolve({}, has_gpu=False), "classification")
    assert (options["metric"], options["family"]) == ("accuracy", "roberta")
    assert set(policies_by_default()) - set(options["policies"]) == {"infilling"}, "an encoder is not asked where nothing is"
    assert settings_of(options, "t", "classification").setting.task_family == "classification"
    asked = fitted(resolve({"metric": "bits_per_label", "family": "lstm", "policies": "span"}, has_gpu=False), "classification")
    assert (asked["metric"], asked["family"], asked["policies"]) == ("bits_per_label", "lstm", ["span"])


@pytest.mark.parametrize(
    ("given", "family", "told"),
    [
        ({"metric": "accuracy"}, "question_answering", "unknown --metric 'accuracy'"),
        ({"metric": "bits_per_answer"}, "classification", "unknown --metric 'bits_per_answer'"),
        ({"family": "roberta"}, "question_answering", "--family roberta is an encoder, but question answering asks for answers"),
        ({"policies": "span,infilling"}, "classification", "--policies infilling"),
    ],
)
def test_what_does_not_fit_the_data_is_told(given: dict[str, Any], family: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        fitted(resolve(given, has_gpu=False), family)


@pytest.mark.parametrize(
    ("policies", "told"),
    [("oracle", "a search never has it"), ("learned", "--policy PATH"), ("supervized", "Did you mean")],
)
def test_policies_that_a_search_does_not_have(policies: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        _stored(policies=policies)


def test_learned_policies_are_named_by_how_they_are_learned() -> None:
    assert _stored(policies="uniform,supervised,meta,random_spans")["policies"] == [
        "uniform", "supervised", "meta", "random_spans",
    ]  # fmt: skip
