"""A simulated study: the study's own code on a virtual clock."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.recipe import Recipe, decode
from raylab.search.caps import EXPLORATION, Allowance, Caps, Share
from raylab.search.ledger import Run, Study, read_events
from raylab.search.listed import listed
from raylab.search.plan import START_S, plan
from raylab.search.simulated import START, Course, SimulatedRunner, VirtualClock
from raylab.search.speed import Counter, Pace, Speed
from raylab.search.study import Conduct, Request, conduct, numbers_due
from tests import tiny
from tests.search.small_study import SETTINGS, bits, conduct_in, states

QUESTIONS = 9
PACE = Pace(steps={"denoise": ((1e8, 0.1), (1e10, 2.0)), "finetune": ((1e8, 0.05),)}, answer_s=0.01, start_s=0.5)
SPEED = Speed(paces={SETTINGS.setting.base: PACE})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


class Listed:
    """Proposes the space's list; notes what it was told."""

    def __init__(self, conduct: Conduct, told: list[tuple[int | None, str]] | None = None) -> None:
        self.conduct, self.numbers, self.told = conduct, numbers_due(conduct.study), [] if told is None else told

    def ask(self) -> Request | None:
        number, settings = next(self.numbers), self.conduct.settings
        recipe, values = listed(self.conduct.space, settings.setting, settings.seed, number)
        request = self.conduct.explore_request(recipe, values, number)
        return request if self.conduct.allowance.admits(request) else None

    def tell(self, request: Request, run: Run) -> None:
        self.told.append((request.trial, run.state))


class Same(Listed):
    """Proposes the first recipe again and again."""

    def ask(self) -> Request | None:
        settings = self.conduct.settings
        recipe, values = listed(self.conduct.space, settings.setting, settings.seed, 0)
        return self.conduct.explore_request(recipe, values, next(self.numbers))


def course(request: Request) -> Course:
    """As long as its number says, and as good as its recipe; half way it has two bits to go."""
    score = bits(request.recipe)
    row = {"bits_per_answer": [score] * QUESTIONS, "exact_match": [0.0] * QUESTIONS, "f1": [0.0] * QUESTIONS}
    return Course(
        seconds=10.0 + (request.trial or 0), metrics={f"{split}_bits_per_answer": score for split in request.splits},
        rungs={0.25: {"dev_bits_per_answer": score + 2}}, scores=dict.fromkeys(request.splits, row),
    )  # fmt: skip


def simulated(
    folder: Path, data: Prepared, *, lanes: int = 1, course: Callable[[Request], Course] = course,
    clock: VirtualClock | None = None, runner: Mapping[str, Any] | None = None, **settings: Any,
) -> tuple[Conduct, SimulatedRunner]:  # fmt: skip
    clock = clock or VirtualClock()
    study, ledger = conduct_in(folder, data, clock=clock, **settings)
    return study, SimulatedRunner(ledger, study.study, clock, course, lanes=lanes, **{"proposer": Listed, **(runner or {})})


def test_a_study_comes_to_its_verdict_in_no_time(tmp_path: Path, data: Prepared) -> None:
    study, runner = simulated(tmp_path / "s", data, trials=8)
    verdict = conduct(study, nullcontext(runner))
    assert verdict is not None and verdict["decision"] == "better"
    assert states(study.study, "explore") == ["finished"] * 8
    assert runner.clock.now - START == sum(run.seconds["total"] for run in study.study.runs.values())
    assert Study.read(tmp_path / "s").runs == study.study.runs


def test_lanes_work_side_by_side(tmp_path: Path, data: Prepared) -> None:
    """Six runs of 10 to 15 s on two lanes: 0, 2, 4 one after another, 1, 3, 5 beside them."""
    study, runner = simulated(tmp_path / "s", data, lanes=2)
    runner.explore(study)
    ended = {run.trial: (run.ended or 0) - START for run in study.study.of_role("explore")}
    assert ended == {0: 10, 1: 11, 2: 22, 3: 24, 4: 36, 5: 39}


def test_a_request_is_proposed_when_a_lane_is_free_and_told_when_it_ends(tmp_path: Path, data: Prepared) -> None:
    told: list[tuple[int | None, str]] = []
    study, runner = simulated(tmp_path / "s", data, lanes=3, runner={"proposer": lambda conduct: Listed(conduct, told)})
    runner.explore(study)
    assert [trial for trial, _ in told] == [0, 1, 2, 3, 4, 5]
    times = [event["time"] for event in read_events(runner.ledger.path)]
    assert all(a <= b for a, b in pairwise(times[1:]))
    asked = [run.asked - START for run in study.study.of_role("explore")]
    assert asked == [0, 0, 0, 10, 11, 12]


def test_the_same_study_is_the_same_to_the_byte(tmp_path: Path, data: Prepared) -> None:
    for name in ("a", "b"):
        study, runner = simulated(tmp_path / name / "s", data, lanes=3)
        conduct(study, nullcontext(runner))
    assert (tmp_path / "a/s/ledger.jsonl").read_bytes().partition(b"\n")[2] == (
        (tmp_path / "b/s/ledger.jsonl").read_bytes().partition(b"\n")[2]
    )


def test_a_stopped_trial_is_pruned_and_its_lane_goes_on(tmp_path: Path, data: Prepared) -> None:
    class Halves:
        """Odd numbers go no further than their rung."""

        def goes_on(self, request: Request, fraction: float, objective: float) -> bool:
            assert (fraction, objective) == (0.25, bits(request.recipe) + 2)
            return (request.trial or 0) % 2 == 0

    told: list[tuple[int | None, str]] = []
    study, runner = simulated(
        tmp_path / "s", data, scheduler="asha",
        runner={"stopper": lambda conduct: Halves(), "proposer": lambda conduct: Listed(conduct, told)},
    )  # fmt: skip
    runner.explore(study)
    assert states(study.study, "explore") == ["finished", "pruned"] * 3
    assert [state for _, state in told] == ["finished", "pruned"] * 3
    assert runner.clock.now - START == 10 + 11 / 4 + 12 + 13 / 4 + 14 + 15 / 4
    pruned = study.study.of_role("explore")[1]
    assert pruned.metrics["dev_bits_per_answer"] == bits(decode(Recipe, pruned.recipe)) + 2


def test_the_race_and_the_verdict_are_never_stopped_early(tmp_path: Path, data: Prepared) -> None:
    study, runner = simulated(tmp_path / "s", data, scheduler="asha")
    conduct(study, nullcontext(runner))
    assert set(states(study.study, "race", "confirm", "baseline")) == {"finished"}
    assert all(not run.rungs for run in study.study.of_role("race", "confirm", "baseline"))


def test_what_ran_already_is_cached(tmp_path: Path, data: Prepared) -> None:
    told: list[tuple[int | None, str]] = []
    study, runner = simulated(tmp_path / "s", data, lanes=2, runner={"proposer": lambda conduct: Same(conduct, told)})
    runner.explore(study)
    assert len(study.study.runs) == 1 and [row["trial"] for row in study.study.cached] == [1, 2, 3, 4, 5]
    assert sorted(told) == [(number, "finished") for number in range(6)]  # also those that waited for it


def test_a_failed_run_has_no_part_in_the_verdict(tmp_path: Path, data: Prepared) -> None:
    def failing(request: Request) -> Course:
        broken = request.role == "explore" and bits(request.recipe) < 25
        return Course(state="diverged", error="Diverged: the loss is NaN.") if broken else course(request)

    study, runner = simulated(tmp_path / "s", data, course=failing)
    conduct(study, nullcontext(runner))
    assert "diverged" in states(study.study, "explore")
    assert all(bits(decode(Recipe, run.recipe)) >= 25 for run in study.study.of_role("confirm"))


def test_hours_are_capped_on_the_virtual_clock(tmp_path: Path, data: Prepared) -> None:
    """100 s, of which the verdict's first look keeps 4 rounds: exploration ends, the verdict is drawn in time."""
    clock = VirtualClock()
    study, runner = simulated(tmp_path / "s", data, clock=clock, trials=50)
    study.allowance = Allowance(
        Caps(max_hours=100 / 3600), study.study, data, seed=SETTINGS.seed, share=Share(tokens=0, rounds=4),
        lanes=1, seconds_left=100.0, run_s=10.0, clock=clock,
    )  # fmt: skip
    conduct(study, nullcontext(runner))
    assert EXPLORATION in study.allowance.closed and 0 < len(study.study.of_role("explore")) < 50
    assert clock.now - START <= 100
    assert "finished" in states(study.study, "confirm")


def test_a_run_is_stopped_at_its_time(tmp_path: Path, data: Prepared) -> None:
    study, runner = simulated(tmp_path / "s", data)
    request = replace(next(iter(_requests(study))), until=START + 4.0)
    runner.run([request])
    run = study.study.runs[request.key]
    assert (run.state, run.ended, run.metrics) == ("stopped", START + 4.0, {})


def test_a_run_that_is_asked_for_twice_runs_once(tmp_path: Path, data: Prepared) -> None:
    study, runner = simulated(tmp_path / "s", data, lanes=2)
    request = next(iter(_requests(study)))
    runner.run([request, request])
    runner.run([request])
    assert runner.clock.now - START == 10.0


def test_an_interrupted_simulation_goes_on(tmp_path: Path, data: Prepared) -> None:
    whole, uninterrupted = simulated(tmp_path / "whole", data)
    conduct(whole, nullcontext(uninterrupted))
    left = 9

    def dying(request: Request) -> Course:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return course(request)

    study, runner = simulated(tmp_path / "s", data, course=dying)
    with pytest.raises(KeyboardInterrupt):
        conduct(study, nullcontext(runner))
    clock = VirtualClock(runner.clock.now)
    again, runner = simulated(tmp_path / "s", data, clock=clock)
    conduct(again, nullcontext(runner))
    assert list(again.study.runs) == list(whole.study.runs)
    assert [run.metrics for run in again.study.runs.values()] == [run.metrics for run in whole.study.runs.values()]


def _requests(study: Conduct) -> list[Request]:
    recipe, values = listed(study.space, study.settings.setting, 0, 0)
    return [study.explore_request(recipe, values, 0)]


@pytest.mark.parametrize(("lanes", "trials"), [(1, 6), (2, 8), (5, 8)])
def test_a_plans_wall_time_holds_the_virtual_one(lanes: int, trials: int, tmp_path: Path, data: Prepared) -> None:
    counter = Counter(data)

    def taken(request: Request) -> Course:
        questions = sum(len(data.splits[split]) for split in request.splits)
        return replace(course(request), seconds=counter.work(request.recipe).seconds(SPEED, questions))

    study, runner = simulated(tmp_path / "s", data, lanes=lanes, course=taken, trials=trials)
    cost = plan(study, lanes=lanes, parameters=1, speed=SPEED)
    assert conduct(study, nullcontext(runner)) is not None
    assert cost.seconds.low <= runner.clock.now - START + START_S <= cost.seconds.high
