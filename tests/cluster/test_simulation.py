"""The study's own sampler and scheduler on a virtual clock: compared in seconds, without training."""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from raylab.cluster.sampler import SAMPLERS
from raylab.cluster.simulation import SampledTrials, ScheduledTrials
from raylab.data.prepared import Prepared
from raylab.search.simulated import START, Course, SimulatedRunner, VirtualClock
from raylab.search.study import Conduct, Request, conduct
from tests import tiny
from tests.search.small_study import bits, conduct_in, states

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def course(request: Request) -> Course:
    """A curve that falls towards the recipe's score."""
    score = bits(request.recipe)
    row = {"bits_per_answer": [score] * 3, "exact_match": [0.0] * 3, "f1": [0.0] * 3}
    return Course(
        seconds=100.0, metrics={f"{split}_bits_per_answer": score for split in request.splits},
        rungs={0.25: {"dev_bits_per_answer": 1.5 * score}}, scores=dict.fromkeys(request.splits, row),
    )  # fmt: skip


def simulated(folder: Path, data: Prepared, lanes: int = 4, **settings: Any) -> tuple[Conduct, SimulatedRunner]:
    clock = VirtualClock()
    study, ledger = conduct_in(folder, data, clock=clock, **settings)
    runner = SimulatedRunner(
        ledger, study.study, clock, course, proposer=SampledTrials, stopper=ScheduledTrials, lanes=lanes
    )  # fmt: skip
    return study, runner


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_conducts_a_simulated_study(name: str, tmp_path: Path, data: Prepared) -> None:
    study, runner = simulated(tmp_path / "s", data, sampler=name, trials=14)
    verdict = conduct(study, nullcontext(runner))
    assert verdict is not None and verdict["decision"] == "better"
    assert [run.trial for run in study.study.of_role("explore")] == list(range(14))


def test_asha_is_compared_with_none_on_curves(tmp_path: Path, data: Prepared) -> None:
    """On the same list of recipes it takes less time and finds as good a one: the curves do not cross."""
    seconds, best = {}, {}
    for name in ("none", "asha"):
        study, runner = simulated(tmp_path / name, data, sampler="list", scheduler=name, trials=40)
        runner.explore(study)
        seconds[name] = runner.clock.now - START
        best[name] = study.objective(study.explored()[0].metrics)
        assert states(study.study, "explore").count("pruned") == (0 if name == "none" else 40 - len(study.explored()))
    assert seconds["none"] == 1000.0
    assert seconds["asha"] < 0.7 * seconds["none"]
    assert best["asha"] == best["none"]


def test_a_sampler_that_learns_is_told_the_truth(tmp_path: Path, data: Prepared) -> None:
    study, runner = simulated(tmp_path / "s", data, scheduler="asha", trials=24)
    proposers: list[SampledTrials] = []
    runner._proposer = lambda conduct: proposers.append(SampledTrials(conduct)) or proposers[-1]  # type: ignore[func-returns-value]
    runner.explore(study)
    trials = proposers[0]._sampler._ot_study.get_trials(deepcopy=False)  # type: ignore[attr-defined]
    told = {"finished": "COMPLETE", "pruned": "PRUNED"}
    assert [trial.state.name for trial in trials] == [told[run.state] for run in study.study.of_role("explore")]
    for trial, run in zip(trials, study.study.of_role("explore"), strict=True):
        assert math.isclose(trial.value, study.objective(run.metrics))
