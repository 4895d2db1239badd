"""A continued study takes over what its parent learnt, in whatever space, and leaves its parent as it was."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.recipe import Recipe, decode
from raylab.search.ledger import FILE, Ledger, Study
from raylab.search.lineage import Earlier, Heritage, Trials, continues, inherit, lineage
from raylab.search.predicted import own_total
from raylab.search.space import Setting, load_space
from raylab.search.study import RACE_FROM, Conduct, conduct
from tests import tiny
from tests.search.small_study import SETTING, SETTINGS, FakeRunner, conduct_in

SPACE = load_space("masking")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def concluded(folder: Path, data: Prepared, **options: Any) -> Study:
    """A study of six trials that ran to its verdict."""
    study, ledger = conduct_in(folder, data)
    verdict = conduct(study, nullcontext(FakeRunner(ledger, study.study, **options)))
    study.study.apply(ledger.append("verdict", verdict=verdict))
    ledger.close()
    return Study.read(folder)


def heritage(parent: Study, setting: Setting = SETTING, before: Setting = SETTING, **options: Any) -> Heritage:
    return inherit(Earlier(study=parent, space=SPACE, setting=before), SPACE, setting, **options)


def child_in(folder: Path, data: Prepared, found: Heritage, more: int, setting: Setting = SETTING) -> tuple[Conduct, FakeRunner]:
    """The study that has inherited this, as it is read from its ledger."""
    folder.mkdir()
    ledger = Ledger(folder)
    ledger.append("study", name=folder.name, settings={}, data={}, environment={}, parent=found.plain())
    for event, fields in found.events():
        ledger.append(event, **fields)
    study = Study.read(folder)
    settings = replace(SETTINGS, trials=found.trials + more, setting=setting)
    return Conduct(settings, SPACE, data, study), FakeRunner(ledger, study)


def test_more_trials_are_run_and_none_of_the_parents_again(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data)
    before = (tmp_path / "parent" / FILE).read_bytes()
    study, runner = child_in(tmp_path / "child", data, heritage(parent), more=4)
    assert study.still_due() == 4
    assert conduct(study, nullcontext(runner)) is not None
    assert not set(runner.ran) & set(parent.runs)
    explored = study.study.of_role("explore")
    assert [run.trial for run in explored] == list(range(10))
    assert [run.origin for run in explored] == ["parent"] * 6 + [""] * 4
    assert [run.metrics for run in explored[:6]] == [run.metrics for run in parent.of_role("explore")]
    assert (tmp_path / "parent" / FILE).read_bytes() == before


def test_the_race_is_taken_over_and_the_verdict_has_seeds_of_its_own(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data, luck=2.0)
    race = {run.key for run in parent.of_role("race")}
    study, runner = child_in(tmp_path / "child", data, heritage(parent), more=1)
    assert race and race <= set(study.study.runs)
    conduct(study, nullcontext(runner))
    used = {run.replicate for run in parent.of_role("confirm", "baseline")}
    fresh = {run.replicate for run in study.study.of_role("confirm", "baseline")}
    assert used == {1, 2, 3} and fresh == {4, 5, 6}
    grandchild = heritage(study.study)
    assert grandchild.plain()["verdict_seeds"] == 6
    assert max(fresh) < RACE_FROM
    assert {fields["origin"] for event, fields in grandchild.events() if event == "taken"} == {"parent", "child"}


def test_an_interrupted_verdict_uses_up_its_seeds(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "parent", data)
    with pytest.raises(KeyboardInterrupt):
        conduct(study, nullcontext(FakeRunner(ledger, study.study, limit=13)))
    assert (used := {run.replicate for run in study.study.of_role("confirm", "baseline")})
    child, runner = child_in(tmp_path / "child", data, heritage(study.study), more=0)
    conduct(child, nullcontext(runner))
    assert not used & {run.replicate for run in child.study.of_role("confirm", "baseline")}


def test_a_narrower_space_leaves_runs_behind(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data)
    setting = replace(SETTING, policies=("uniform", "salient"))
    found = heritage(parent, setting)
    kept = [run for run in parent.of_role("explore") if run.values["policy"] != "span"]
    assert [run.key for run in found.taken if run.role == "explore"] == [run.key for run in kept]
    study, _ = child_in(tmp_path / "child", data, found, more=3, setting=setting)
    assert study.still_due() == 3
    assert study.due()  # the race and the verdict can be asked for


def test_a_wider_space_knows_what_was_fixed_before(tmp_path: Path, data: Prepared) -> None:
    """One policy, and a fixed learning rate: neither stands among what was drawn."""
    narrow = replace(SETTING, policies=("salient",), fixed={"learning_rate": "0.002"})
    study, ledger = conduct_in(tmp_path / "parent", data, setting=narrow)
    conduct(study, nullcontext(FakeRunner(ledger, study.study)))
    ledger.close()
    parent = Study.read(tmp_path / "parent")
    assert not {"policy", "learning_rate"} & parent.of_role("explore")[0].values.keys()
    found = heritage(parent, SETTING, before=narrow)
    trials = [run for run in found.taken if run.role == "explore"]
    assert len(trials) == len(parent.of_role("explore"))
    for run in trials:
        assert (run.values["policy"], run.values["learning_rate"]) == ("salient", 0.002)
        assert SPACE.decode(run.values, SETTING)[0] == decode(Recipe, run.recipe)


def test_what_is_fixed_now_and_was_drawn_before(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data)
    fixed = replace(SETTING, fixed={"policy": "span"})
    trials = [run for run in heritage(parent, fixed).taken if run.role == "explore"]
    assert trials and all("policy" not in run.values for run in trials)


def test_nothing_to_take_over_is_an_error(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data)
    with pytest.raises(UserError, match=r"none of its 6 recipes\. .* --prior parent"):
        heritage(parent, replace(SETTING, budget_tokens=7))


def test_a_space_whose_file_is_gone_is_known_by_its_runs(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data)
    found = inherit(Earlier(study=parent, space=None, setting=SETTING), SPACE, SETTING)
    assert found.trials == 6


def test_failures_are_due_again_if_they_are_to_be_retried(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data, fails=lambda request: request.trial in (1, 4))
    failed = [run.key for run in parent.of_role("explore") if run.state == "failed"]
    assert len(failed) == 2
    assert heritage(parent).due == ()
    found = heritage(parent, retry_failed=True)
    assert [run.key for run in found.due] == failed and found.trials == 6
    study, _ = child_in(tmp_path / "child", data, found, more=0)
    assert study.still_due() == 2
    assert [(run.trial, run.state, run.origin) for run in study.study.of_role("explore") if run.key in failed] == [
        (1, "waiting", ""), (4, "waiting", "")
    ]  # fmt: skip


def test_what_the_parent_had_not_ended_is_due(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "parent", data)
    with pytest.raises(KeyboardInterrupt):
        conduct(study, nullcontext(FakeRunner(ledger, study.study, limit=3)))
    recipe, values, _ = SPACE.decode({"policy": "span", "learning_rate": 0.003}, SETTING)
    plain = study.explore_request(recipe, values, 3).plain()
    study.study.apply(
        ledger.append("run", **{n: plain[n] for n in ("key", "role", "replicate", "trial", "recipe", "values", "label")})
    )
    found = heritage(study.study)
    assert [run.trial for run in found.due] == [3] and found.trials == 4


def test_cached_trials_count(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "parent", data)
    runner = FakeRunner(ledger, study.study)
    runner.explore(study)
    first = study.study.of_role("explore")[0]
    study.study.apply(ledger.append("cached", key=first.key, trial=6))
    found = heritage(study.study)
    assert found.trials == 7
    child, _ = child_in(tmp_path / "child", data, found, more=2)
    assert child.still_due() == 2 and [row["trial"] for row in child.study.cached] == [6]


def test_what_was_taken_over_cost_this_study_nothing(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data)
    for run in parent.runs.values():
        run.metrics["tokens"] = 1000
    study, _ = child_in(tmp_path / "child", data, heritage(parent), more=1)
    assert own_total(study.study, "tokens") == 0
    assert study.study.worked_s < 5


def test_where_it_comes_from_is_told(tmp_path: Path, data: Prepared) -> None:
    parent = concluded(tmp_path / "parent", data)
    study, _ = child_in(tmp_path / "child", data, heritage(parent), more=1)
    race = len(parent.of_role("race"))
    assert continues(study.study).startswith("parent: 6 trials") and (f"{race} run" in continues(study.study)) == bool(race)
    told = lineage(study.study)
    assert told[0].startswith("Continues parent: 6 trials")
    assert (parent.verdict or {})["sentence"] in told[1] and "errs in 5 %" in told[1]
    assert lineage(parent) == [] and continues(parent) == ""


@pytest.mark.parametrize(("text", "total"), [("+4", 10), ("+0", 6), ("9", 9)])
def test_so_many_more_or_so_many_in_all(text: str, total: int, tmp_path: Path, data: Prepared) -> None:
    assert Trials.of(text).total(heritage(concluded(tmp_path / "parent", data))) == total


@pytest.mark.parametrize("text", ["+", "x", "+x", "-3", "1.5", "", "++2"])
def test_malformed_trials(text: str) -> None:
    with pytest.raises(UserError, match=r"expected \+20 for so many more trials, or 32 for so many in all"):
        Trials.of(text)


@pytest.mark.parametrize("text", ["3", "6"])
def test_fewer_trials_than_there_are(text: str, tmp_path: Path, data: Prepared) -> None:
    found = heritage(concluded(tmp_path / "parent", data))
    with pytest.raises(UserError, match=r"6 of parent are taken over already"):
        Trials.of(text).total(found)
