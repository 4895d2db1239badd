"""A study from its first trial to its verdict, and again from its ledger after it stopped anywhere."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.recipe import Recipe, decode, encode, run_key
from raylab.search.ledger import Ledger, Study
from raylab.search.study import RACE_FROM, Conduct, Request, conduct
from raylab.seeds import Seeds
from tests import tiny
from tests.search import small_study
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


# --- the race and the verdict's looks -----------------------------------------------------------------------------------


def test_the_best_of_exploration_race_on_seeds_of_their_own_and_dev_alone(tmp_path: Path, data: Prepared) -> None:
    verdict, study, _ = run_in(tmp_path / "s", data, settings={"trials": 12, "seeds": 8}, luck=2.0)
    race, verdicts = study.of_role("race"), study.of_role("confirm", "baseline")
    assert race and all(list(run.scores) == ["dev"] and run.replicate > RACE_FROM for run in race)
    assert {run.replicate for run in verdicts} <= set(range(1, 9))
    rounds = Counter(run.replicate for run in race)
    assert list(rounds) == sorted(rounds), "round by round"
    assert [rounds[number] for number in rounds] == sorted(rounds.values(), reverse=True)
    assert verdict["score"] == verdict["arms"][0]["mean"] and verdict["n_seeds"] == verdict["seeds"]


def test_a_lucky_recipe_of_exploration_loses_the_race(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "s", data, trials=12)
    fake = FakeRunner(ledger, study.study)
    fake.explore(study)
    leader = study.explored()[0]
    lucky = next(run for run in study.explored() if "uniform" in run.label)
    lucky.metrics["dev_bits_per_answer"] = leader.metrics["dev_bits_per_answer"] - 0.5
    assert study.explored()[0] is lucky
    while requests := study.due():
        fake.run(requests)
    assert study.conclude()["winner"] == leader.label
    assert leader.label not in study.conclude()["tied"]


def test_seeds_are_added_until_winner_and_baseline_are_apart(tmp_path: Path, data: Prepared) -> None:
    clear, study, _ = run_in(tmp_path / "clear", data, settings={"seeds": 10})
    assert (clear["seeds"], clear["looks"], clear["most_seeds"], clear["decision"]) == (3, [3], 10, "better")
    assert len(study.of_role("confirm")) == 3
    noisy, study, _ = run_in(tmp_path / "noisy", data, settings={"seeds": 10}, luck=4.0)
    assert noisy["seeds"] > 3 and noisy["looks"] == [3, 5, 7, 10][: len(noisy["looks"])]
    assert len(study.of_role("confirm")) == noisy["seeds"]
    beside = [run for run in study.of_role("baseline") if run.label == "no pretraining"]
    assert len(beside) == 3, "what decides nothing has the seeds of the first look"
    assert noisy["beside"][-1]["seeds"] == 3


@pytest.mark.parametrize("stop_after", [7, 12, 15, 20, 25])
def test_a_race_or_look_that_was_cut_goes_on(stop_after: int, tmp_path: Path, data: Prepared) -> None:
    options: dict[str, Any] = {"settings": {"trials": 8, "seeds": 10}, "luck": 3.0}
    straight, _, whole = run_in(tmp_path / "s", data, **options)
    (tmp_path / "s" / "ledger.jsonl").unlink()
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "s", data, limit=stop_after, **options)
    verdict, _, rest = run_in(tmp_path / "s", data, **options)
    assert verdict == straight
    assert len(rest.ran) == len(whole.ran) - stop_after


def test_a_candidate_that_fails_in_the_race_is_out(tmp_path: Path, data: Prepared) -> None:
    options: dict[str, Any] = {"settings": {"trials": 12}, "luck": 2.0}
    first, *_ = run_in(tmp_path / "a", data, **options)
    failing = first["winner"]
    second, study, _ = run_in(tmp_path / "a2", data, fails=lambda r: r.role == "race" and r.label == failing, **options)
    assert any(run.state == "failed" for run in study.of_role("race"))
    assert second["winner"] != failing and second["decision"] != "not_run"


def test_a_race_in_which_all_fail_leaves_the_best_of_exploration(tmp_path: Path, data: Prepared) -> None:
    verdict, study, _ = run_in(tmp_path / "s", data, settings={"trials": 12}, luck=2.0, fails=lambda r: r.role == "race")
    best = min((run for run in study.of_role("explore")), key=lambda run: run.metrics["dev_bits_per_answer"])
    assert verdict["winner"] == best.label and verdict["tied"] == []


def test_trials_without_a_score_are_no_candidates(tmp_path: Path, data: Prepared) -> None:
    """A score that is no number never reaches the ledger: it is missing there."""
    nothing, study, _ = run_in(tmp_path / "none", data, scored=lambda request: False)
    assert nothing is None and states(study, "explore") == ["finished"] * 6
    verdict, *_ = run_in(tmp_path / "some", data, scored=lambda r: r.role != "explore" or "salient" not in r.label)
    assert verdict["winner"].startswith("span")
    assert run_in(tmp_path / "late", data, scored=lambda r: r.role == "explore")[0]["decision"] == "not_run"


def test_one_trial_has_nobody_to_race(tmp_path: Path, data: Prepared) -> None:
    verdict, study, _ = run_in(tmp_path / "s", data, settings={"trials": 1})
    assert study.of_role("race") == []
    assert "is the baseline itself" in verdict["sentence"] and verdict["n_seeds"] == 3


def test_a_winner_that_is_the_baseline_takes_the_seeds_of_one_look(tmp_path: Path, data: Prepared) -> None:
    verdict, study, _ = run_in(tmp_path / "s", data, settings={"trials": 1, "seeds": 16})
    assert {run.replicate for run in study.of_role("confirm", "baseline")} == {1, 2, 3}
    assert verdict["seeds"] == 0 and verdict["score"] is not None


def test_equals_are_rarely_told_apart(tmp_path: Path, data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """All recipes alike: through the whole study, seed by seed of the study."""
    monkeypatch.setattr(small_study, "bits", lambda recipe: 25.0)
    decisions = [
        run_in(tmp_path / str(seed), data, settings={"seed": seed, "seeds": 5}, luck=1.0)[0]["decision"] for seed in range(30)
    ]
    assert decisions.count("better") <= 4  # 5 % two-sided: more than 4 of 30 better ones are a chance of 1 in 1,000


def test_a_study_knows_how_long_its_verdict_may_take(tmp_path: Path, data: Prepared) -> None:
    study, _ = conduct_in(tmp_path / "s", data, trials=12, seeds=10)
    assert (study.fewest_runs(), study.most_runs()) == (4 * 3, (8 + 6 + 4 + 3 + 2) + 4 * 3 + 2 * 7)
    for seed in range(3):
        settings = {"trials": 12, "seeds": 10, "seed": seed}
        _, done, _ = run_in(tmp_path / f"s{seed}", data, settings=settings, luck=5.0)
        assert study.fewest_runs(arms=2) <= len(done.of_role("race", "confirm", "baseline")) <= study.most_runs()
