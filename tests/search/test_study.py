"""A study from its first trial to its verdict, and again from its ledger after it stopped anywhere."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.recipe import Recipe, decode, encode, run_key
from raylab.search.ledger import Ledger, Study
from raylab.search.study import Conduct, Request, conduct
from raylab.seeds import Seeds
from tests import tiny
from tests.search.small_study import SETTINGS, FakeRunner, conduct_in, states


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def run_in(
    folder: Path, data: Prepared, *, settings: dict[str, Any] | None = None, **runner: Any
) -> tuple[Any, Study, FakeRunner]:
    """Conduct the study in `folder` as far as it goes."""
    study, ledger = conduct_in(folder, data, **(settings or {}))
    fake = FakeRunner(ledger, study.study, **runner)
    try:
        verdict = conduct(study, nullcontext(fake))
    finally:
        ledger.close()
    return verdict, study.study, fake


def test_it_explores_confirms_and_concludes(tmp_path: Path, data: Prepared) -> None:
    verdict, study, _ = run_in(tmp_path / "s", data)
    assert states(study, "explore") == ["finished"] * 6
    assert states(study, "confirm") == ["finished"] * 3
    assert verdict["winner"].startswith("salient")
    assert verdict["decision"] == "better"
    assert verdict["difference"] == pytest.approx(-4.0, abs=0.1)
    assert [arm["role"] for arm in verdict["arms"]] == ["winner", "baseline", "beside"]
    assert Study.read(tmp_path / "s") == study


def test_selection_sees_dev_alone_and_the_verdict_fresh_seeds(tmp_path: Path, data: Prepared) -> None:
    _, study, _ = run_in(tmp_path / "s", data)
    for run in study.of_role("explore"):
        assert run.replicate == 0 and list(run.scores) == ["dev"]
        assert not any(name.startswith("test") for name in run.metrics)
    for run in study.of_role("confirm", "baseline"):
        assert run.replicate in (1, 2, 3) and list(run.scores) == ["dev", "test"]


def test_one_seed_of_all_arms_comes_before_the_next(tmp_path: Path, data: Prepared) -> None:
    _, study, _ = run_in(tmp_path / "s", data)
    assert [run.replicate for run in study.of_role("confirm", "baseline")] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_the_baseline_differs_in_one_choice(tmp_path: Path, data: Prepared) -> None:
    _, study, _ = run_in(tmp_path / "s", data)
    winner: Any = next(decode(Recipe, run.recipe) for run in study.of_role("confirm"))
    baseline: Any = next(decode(Recipe, run.recipe) for run in study.of_role("baseline") if "all else" in run.label)
    assert (winner.stages[0].policy.name(), baseline.stages[0].policy.name()) == ("salient", "uniform")
    for name in ("target", "budget_tokens", "corpus_share", "batch_size", "optimization"):
        assert getattr(winner.stages[0], name) == getattr(baseline.stages[0], name)
    assert (winner.base, winner.finetune) == (baseline.base, baseline.finetune)


def test_the_key_is_of_recipe_seeds_and_data(tmp_path: Path, data: Prepared) -> None:
    _, study, _ = run_in(tmp_path / "s", data)
    for run in study.runs.values():
        seeds = Seeds.of(SETTINGS.seed, run.replicate)
        assert run.key == run_key(decode(Recipe, run.recipe), seeds, data.fingerprint)


@pytest.mark.parametrize("stop_after", range(0, 16, 3))
def test_conducted_again_it_does_only_what_is_due(stop_after: int, tmp_path: Path, data: Prepared) -> None:
    straight, _, whole = run_in(tmp_path / "whole", data)
    runs = len(whole.ran)
    assert runs == 6 + len([run for run in whole.study.runs.values() if run.role == "race"]) + 9
    try:
        run_in(tmp_path / "s", data, limit=stop_after)
    except KeyboardInterrupt:
        assert stop_after < runs
    verdict, study, rest = run_in(tmp_path / "s", data)
    assert len(rest.ran) == runs - min(stop_after, runs)
    assert len(study.runs) == runs
    assert {k: v for k, v in verdict.items() if k != "arms"} == {k: v for k, v in straight.items() if k != "arms"}
    assert run_in(tmp_path / "s", data)[2].ran == []


def test_a_run_that_was_under_way_is_due(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "s", data)
    fake = FakeRunner(ledger, study.study)
    recipe, values, _ = study.space.decode({"policy": "span"}, SETTINGS.setting)
    plain = study.explore_request(recipe, values, 0).plain()
    fake._tell("run", **{k: plain[k] for k in ("key", "role", "replicate", "trial", "recipe", "values", "label")})
    fake._tell("start", key=plain["key"], lane=0, attempt=1)
    assert study.still_due() == 6
    assert study.explored() == []


def test_cached_trials_count(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "s", data)
    fake = FakeRunner(ledger, study.study, limit=2)
    with pytest.raises(KeyboardInterrupt):
        fake.explore(study)
    fake._tell("cached", key=fake.ran[0], trial=2)
    assert study.still_due() == 3
    assert study.study.counts() == {"finished": 2, "pruned": 0, "failed": 0, "diverged": 0, "cached": 1}


def test_nothing_finished_is_no_verdict(tmp_path: Path, data: Prepared) -> None:
    verdict, study, fake = run_in(tmp_path / "s", data, fails=lambda request: True)
    assert verdict is None
    assert states(study, "explore") == ["failed"] * 6 and study.of_role("confirm") == []
    assert run_in(tmp_path / "s", data)[2].ran == []  # what failed is over, too
    assert len(fake.ran) == 6


def test_a_failed_trial_is_not_chosen(tmp_path: Path, data: Prepared) -> None:
    verdict, *_ = run_in(tmp_path / "s", data, fails=lambda request: "salient" in request.label)
    assert verdict["winner"].startswith("span")


def test_a_failed_confirmation_leaves_its_seed_out(tmp_path: Path, data: Prepared) -> None:
    def fails(request: Request) -> bool:
        return request.role == "confirm" and request.replicate == 2

    verdict, study, _ = run_in(tmp_path / "s", data, fails=fails)
    assert states(study, "confirm") == ["finished", "failed", "finished"]
    assert verdict["seeds"] == 2
    assert verdict["arms"][0]["values"][1] is None


def test_no_confirmation_finished_decides_nothing(tmp_path: Path, data: Prepared) -> None:
    verdict, *_ = run_in(tmp_path / "s", data, fails=lambda request: request.role == "confirm")
    assert verdict["decision"] == "not_run" and verdict["difference"] is None


def test_the_winner_may_be_the_baseline_itself(tmp_path: Path, data: Prepared) -> None:
    def fails(request: Request) -> bool:
        return request.role == "explore" and request.trial != 0  # the first start is the baseline

    verdict, study, _ = run_in(tmp_path / "s", data, fails=fails)
    assert verdict["decision"] == "not_run"
    assert "is the baseline itself" in verdict["sentence"]
    assert len(study.of_role("confirm", "baseline")) == 2 * 3  # equal arms run once; no pretraining beside them


def test_the_first_confirmation_keeps_its_model_and_no_other(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "s", data)
    fake = FakeRunner(ledger, study.study)
    fake.explore(study)
    while not study.confirmation():
        fake.run(study.due())
    kept = [(r.role, r.replicate) for r in study.confirmation() if r.keep_model]
    assert kept == [("confirm", 1)]


@pytest.mark.parametrize(("metric", "value"), [("bits_per_answer", 24.0), ("f1", -24.0), ("exact_match", -24.0)])
def test_the_objective_is_always_minimised(metric: str, value: float, tmp_path: Path, data: Prepared) -> None:
    study, _ = conduct_in(tmp_path / "s", data, metric=metric)
    assert study.objective({f"dev_{metric}": 24.0, f"test_{metric}": 1.0}) == value
    assert study.objective({}) == float("inf")


def test_rungs_are_for_halving_alone(tmp_path: Path, data: Prepared) -> None:
    def rungs(study: Conduct) -> tuple[float, ...]:
        recipe, values, _ = study.space.decode({}, SETTINGS.setting)
        return study.explore_request(recipe, values, 0).rungs

    assert rungs(conduct_in(tmp_path / "a", data)[0]) == ()
    halving = conduct_in(tmp_path / "b", data, scheduler="asha")[0]
    assert rungs(halving) == (0.25,)
    FakeRunner(Ledger(tmp_path / "b"), halving.study).explore(halving)
    assert all(request.rungs == () for request in [*halving.due(), *halving.confirmation()])


def test_a_request_crosses_as_plain_values(tmp_path: Path, data: Prepared) -> None:
    study, _ = conduct_in(tmp_path / "s", data)
    recipe, values, _ = study.space.decode({"policy": "span"}, SETTINGS.setting)
    request = study.explore_request(recipe, values, 3)
    plain = request.plain()
    assert plain["recipe"] == encode(recipe) and decode(Recipe, plain["recipe"]) == recipe
    assert Seeds(**plain["seeds"]) == request.seeds
    assert (plain["trial"], plain["role"], plain["splits"], plain["rungs"]) == (3, "explore", ["dev"], [])


def test_a_study_with_nothing_due_starts_no_runner(tmp_path: Path, data: Prepared) -> None:
    verdict, _, _ = run_in(tmp_path / "s", data)
    study, ledger = conduct_in(tmp_path / "s", data)
    ledger.close()

    class Untouchable(nullcontext[Any]):
        def __enter__(self) -> Any:
            raise AssertionError("a runner was started")

    assert conduct(study, Untouchable()) == verdict
