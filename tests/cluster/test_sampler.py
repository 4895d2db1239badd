"""The sampler: the space's starts first, told the truth of how trials ended, and rebuilt from a ledger."""

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from raylab.cluster.sampler import SAMPLERS, OptunaSampler, distribution, sampler
from raylab.cluster.trial import INFEASIBLE, OBJECTIVE
from raylab.data.prepared import Prepared
from raylab.recipe import Recipe, decode
from raylab.search.ledger import Ledger
from raylab.search.space import Domain
from raylab.search.study import Conduct, numbers_due
from tests import tiny
from tests.search.small_study import SETTING, bits, conduct_in, replace

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def study(tmp_path: Path, data: Prepared) -> tuple[Conduct, Ledger]:
    return conduct_in(tmp_path / "s", data)


def sampler_of(conduct: Conduct, stop: Any = lambda: False) -> OptunaSampler:
    made = sampler(conduct, lambda request: request, stop)
    assert isinstance(made, OptunaSampler)
    return made


def proposals(sampler: Searcher, count: int) -> list[dict[str, Any]]:
    """So many suggestions, each told its score as soon as it is made."""
    asked = []
    for i in range(count):
        request = sampler.suggest(f"t{i}")
        asked.append(request)
        score = bits(decode(Recipe, request["recipe"]))
        sampler.on_trial_complete(f"t{i}", {OBJECTIVE: score, "state": "finished", "training_iteration": 1})
    return asked


def record(
    conduct: Conduct, ledger: Ledger, request: dict[str, Any], state: str | None = "finished", error: str | None = None,
    score: float | None = None,
) -> None:  # fmt: skip
    """A proposed run in the ledger, ended in a state (None: still running)."""
    names = ("key", "role", "replicate", "trial", "recipe", "values", "label")
    events: list[tuple[str, dict[str, Any]]] = [("run", {name: request[name] for name in names})]
    events.append(("start", {"key": request["key"], "lane": 0, "attempt": 1}))
    if state is not None:
        score = bits(decode(Recipe, request["recipe"])) if score is None else score
        metrics = {"dev_bits_per_answer": score} if state in ("finished", "pruned") else {}
        events.append(("end", {"key": request["key"], "state": state, "metrics": metrics, "error": error}))
    for event, fields in events:
        conduct.study.apply(ledger.append(event, **fields))


def states(sampler: OptunaSampler) -> list[TrialState]:
    return [trial.state for trial in sampler._ot_study.get_trials(deepcopy=False)]


def test_the_starts_come_first(study: tuple[Conduct, Ledger]) -> None:
    asked = proposals(sampler_of(study[0]), 5)
    assert [request["values"]["policy"] for request in asked[:3]] == ["uniform", "salient", "span"]
    assert [request["trial"] for request in asked] == [0, 1, 2, 3, 4]
    assert len({request["key"] for request in asked}) == 5


def test_a_request_is_the_recipe_of_its_values(study: tuple[Conduct, Ledger]) -> None:
    for request in proposals(sampler_of(study[0]), 6):
        recipe, values, _ = study[0].space.decode(request["values"], SETTING)
        assert values == request["values"]
        assert decode(Recipe, request["recipe"]) == recipe
        assert (request["role"], request["replicate"], request["splits"]) == ("explore", 0, ["dev"])


def test_the_same_study_proposes_the_same(tmp_path: Path, data: Prepared) -> None:
    first, again, other = (
        [r["values"] for r in proposals(sampler_of(conduct_in(tmp_path / name, data, seed=seed)[0]), 6)]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first[:3] == other[:3] and first[3:] != other[3:]


def test_rebuilt_from_a_ledger_it_proposes_what_is_new(study: tuple[Conduct, Ledger]) -> None:
    """Optuna reopened with its first seed repeats its first suggestions."""
    conduct, ledger = study
    first = proposals(sampler_of(conduct), 5)
    for request in first:
        record(conduct, ledger, request)
    rebuilt = sampler_of(conduct)
    assert states(rebuilt) == [TrialState.COMPLETE] * 5
    later = proposals(rebuilt, 8)
    assert not {request["key"] for request in later} & {request["key"] for request in first}
    assert [request["trial"] for request in later] == list(range(5, 13))


def test_what_it_is_rebuilt_from_is_what_it_was_told(study: tuple[Conduct, Ledger]) -> None:
    conduct, ledger = study
    told = sampler_of(conduct)
    for request in proposals(told, 4):
        record(conduct, ledger, request)
    rebuilt = sampler_of(conduct)
    for one, other in zip(told._ot_study.trials, rebuilt._ot_study.trials, strict=True):
        assert (one.params, one.distributions, one.value, one.state) == (
            other.params,
            other.distributions,
            other.value,
            other.state,
        )


def test_unfinished_runs_come_first_under_their_own_numbers(study: tuple[Conduct, Ledger]) -> None:
    conduct, ledger = study
    first = proposals(sampler_of(conduct), 5)
    for request, state in zip(first, ["finished", None, "finished", None, "failed"], strict=True):
        record(conduct, ledger, request, state)
    later = proposals(sampler_of(conduct), 3)
    assert [request["key"] for request in later[:2]] == [first[1]["key"], first[3]["key"]]
    assert [request["trial"] for request in later] == [1, 3, 5]


def test_starts_that_were_not_reached_are_still_tried(study: tuple[Conduct, Ledger]) -> None:
    """No policy is judged unseen, even where the study stopped after its first trial."""
    conduct, ledger = study
    record(conduct, ledger, proposals(sampler_of(conduct), 1)[0])
    later = proposals(sampler_of(conduct), 3)
    assert [request["values"]["policy"] for request in later[:2]] == ["salient", "span"]


@pytest.mark.parametrize(
    ("result", "state", "value"),
    [
        ({OBJECTIVE: 24.0, "state": "finished"}, TrialState.COMPLETE, 24.0),
        ({OBJECTIVE: 29.0, "state": "running"}, TrialState.PRUNED, 29.0),  # the scheduler stopped it at its rung
        ({OBJECTIVE: 29.0, "state": "pruned"}, TrialState.PRUNED, 29.0),
        ({OBJECTIVE: math.inf, "state": "failed"}, TrialState.FAIL, None),
        ({OBJECTIVE: math.inf, "state": "diverged", INFEASIBLE: True}, TrialState.PRUNED, None),
        ({OBJECTIVE: math.inf, "state": "failed", INFEASIBLE: True}, TrialState.PRUNED, None),  # out of memory
        ({OBJECTIVE: math.nan, "state": "finished"}, TrialState.FAIL, None),
        (None, TrialState.FAIL, None),  # the trial's actor died
    ],
)
def test_optuna_is_told_how_a_trial_ended(
    result: dict[str, Any] | None, state: TrialState, value: float | None, study: tuple[Conduct, Ledger]
) -> None:
    sampler = sampler_of(study[0])
    sampler.suggest("t")
    if result is not None:
        result = {"training_iteration": 1, **result}
    for _ in range(2):  # Tune may say so twice
        sampler.on_trial_complete("t", result)
    (trial,) = (t for t in sampler._ot_study.get_trials() if t.state != TrialState.WAITING)
    assert (trial.state, trial.value) == (state, value)


def test_a_trial_that_passed_a_rung_is_told_by_its_end(study: tuple[Conduct, Ledger]) -> None:
    sampler = sampler_of(study[0])
    sampler.suggest("t")
    sampler.on_trial_result("t", {OBJECTIVE: 29.0, "state": "running", "training_iteration": 1})
    sampler.on_trial_complete("t", {OBJECTIVE: 24.0, "state": "finished", "training_iteration": 2})
    trial = sampler._ot_study.get_trials()[0]
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 24.0, {1: 29.0})


@pytest.mark.parametrize(
    ("state", "error", "known"),
    [
        ("pruned", None, TrialState.PRUNED),
        ("failed", "infrastructure: lost three times", TrialState.FAIL),
        ("failed", "out_of_memory: not even one row fits", TrialState.PRUNED),
        ("diverged", "the loss is nan", TrialState.PRUNED),
    ],
)
def test_a_ledger_tells_the_same_states(state: str, error: str, known: TrialState, study: tuple[Conduct, Ledger]) -> None:
    conduct, ledger = study
    record(conduct, ledger, proposals(sampler_of(conduct), 1)[0], state, error)
    assert states(sampler_of(conduct))[0] == known


FAST = 4e-3  # learning rates above cannot be trained


def edge(request: dict[str, Any]) -> float:
    """Better, the faster it learns: right up to where it fails."""
    return 1.0 - request["values"]["learning_rate"]


def beyond(asked: list[dict[str, Any]]) -> float:
    return sum(request["values"]["learning_rate"] > FAST for request in asked) / len(asked)


@pytest.mark.parametrize("name", ["tpe", "gp"])
@pytest.mark.parametrize("rebuilt", [False, True])
def test_what_cannot_run_is_avoided(name: str, rebuilt: bool, tmp_path: Path, data: Prepared) -> None:
    """Half of the space diverges, just where the rest is best. What failed with its machine is not held against a recipe."""
    later = {}
    for infeasible in (True, False):
        conduct, ledger = conduct_in(tmp_path / f"{infeasible}", data, sampler=name)
        proposes, asked = sampler(conduct, lambda request: request, lambda: False), []
        for i in range(40):
            if rebuilt and i == 30:
                proposes = sampler(conduct, lambda request: request, lambda: False)
            request = proposes.suggest(f"t{i}")
            asked.append(request)
            if request["values"]["learning_rate"] > FAST:
                result = {OBJECTIVE: math.inf, "state": "diverged" if infeasible else "failed", INFEASIBLE: infeasible}
            else:
                result = {OBJECTIVE: edge(request), "state": "finished"}
            proposes.on_trial_complete(f"t{i}", {**result, "training_iteration": 1})
            record(conduct, ledger, request, result["state"], score=edge(request))
        later[infeasible] = beyond(asked[25:])
    assert later[True] < 0.6 * later[False]


def test_gp_finds_the_better_region(tmp_path: Path, data: Prepared) -> None:
    conduct, _ = conduct_in(tmp_path / "s", data, sampler="gp", trials=40)
    asked = proposals(sampler(conduct, lambda request: request, lambda: False), 40)
    scores = [bits(decode(Recipe, request["recipe"])) for request in asked]
    assert sum(scores[28:]) / 12 < sum(scores[:12]) / 12 - 1


def test_gp_proposes_no_recipe_twice_and_goes_on_from_its_ledger(tmp_path: Path, data: Prepared) -> None:
    conduct, ledger = conduct_in(tmp_path / "s", data, sampler="gp")
    first = proposals(sampler(conduct, lambda request: request, lambda: False), 20)
    for request in first[:-1]:
        record(conduct, ledger, request)
    record(conduct, ledger, first[-1], None)
    again = proposals(sampler(conduct, lambda request: request, lambda: False), 3)
    assert again[0] == first[-1]
    assert len({request["key"] for request in [*first, *again]}) == 22
    assert [request["trial"] for request in again] == [19, 20, 21]


def test_an_unknown_trial_is_passed_over(study: tuple[Conduct, Ledger]) -> None:
    sampler_of(study[0]).on_trial_complete("never asked", {OBJECTIVE: 1.0, "state": "finished"})


def test_when_told_to_stop_it_proposes_nothing(study: tuple[Conduct, Ledger]) -> None:
    assert sampler_of(study[0], stop=lambda: True).suggest("t") == Searcher.FINISHED


def test_fixed_choices_are_not_proposed(tmp_path: Path, data: Prepared) -> None:
    setting = replace(SETTING, fixed={"policy": "span", "learning_rate": "0.002"})
    for request in proposals(sampler_of(conduct_in(tmp_path / "s", data, setting=setting)[0]), 4):
        assert not {"policy", "learning_rate"} & request["values"].keys()
        recipe: Any = decode(Recipe, request["recipe"])
        assert (recipe.stages[0].policy.name(), recipe.stages[0].optimization.learning_rate) == ("span", 0.002)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_tries_the_starts_first_and_then_draws_what_is_new(name: str, tmp_path: Path, data: Prepared) -> None:
    proposes = sampler(conduct_in(tmp_path / "s", data, sampler=name)[0], lambda request: request, lambda: False)
    asked = proposals(proposes, 8)
    assert [request["values"]["policy"] for request in asked[:3]] == ["uniform", "salient", "span"]
    assert [request["trial"] for request in asked] == list(range(8))
    assert len({request["key"] for request in asked}) == 8


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_stops_when_told_to(name: str, tmp_path: Path, data: Prepared) -> None:
    proposes = sampler(conduct_in(tmp_path / "s", data, sampler=name)[0], lambda request: request, lambda: True)
    assert proposes.suggest("t") == Searcher.FINISHED


def test_a_list_goes_on_where_the_ledger_ends_whatever_became_of_its_trials(tmp_path: Path, data: Prepared) -> None:
    """Trial 3 was asked for and never reached the ledger, 4 has not ended, 5 proposed what stood already."""
    conduct, ledger = conduct_in(tmp_path / "s", data, sampler="list")
    whole = proposals(sampler(conduct, lambda request: request, lambda: False), 9)
    for request, state in ((whole[0], "finished"), (whole[1], "failed"), (whole[2], "diverged"), (whole[4], None)):
        record(conduct, ledger, request, state)
    conduct.study.apply(ledger.append("cached", key=whole[0]["key"], trial=5))
    later = proposals(sampler(conduct, lambda request: request, lambda: False), 5)
    assert later == [whole[4], whole[3], *whole[6:]]


def test_what_is_due_is_settled_when_a_sampler_is_made(study: tuple[Conduct, Ledger]) -> None:
    """The ledger grows while it proposes."""
    conduct, ledger = study
    numbers = numbers_due(conduct.study)
    for request in proposals(sampler_of(conduct), 2):
        record(conduct, ledger, request)
    assert [next(numbers) for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (Domain(default="a", options=("a", "b")), optuna.distributions.CategoricalDistribution(("a", "b"))),
        (Domain(default=2, low=1, high=9, integer=True), optuna.distributions.IntDistribution(1, 9)),
        (Domain(default=0.1, low=0.01, high=1.0, log=True), optuna.distributions.FloatDistribution(0.01, 1.0, log=True)),
    ],
)
def test_domains_as_optuna_stores_them(domain: Domain, expected: Any) -> None:
    assert distribution(domain) == expected
