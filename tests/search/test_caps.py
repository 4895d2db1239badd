"""Caps are hard, the verdict keeps its share, and a study that is given more room goes on."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.search.caps import EXPLORATION, SELECTION, Allowance, Caps, Share, Shared, Smallest, check_smallest
from raylab.search.ledger import Study
from raylab.search.plan import Plan, plan
from raylab.search.reading import by_prefix, tokens
from raylab.search.speed import Pace, Speed
from raylab.search.study import Conduct, Request, conduct
from tests import tiny
from tests.search.small_study import SETTING, SETTINGS, FakeRunner, conduct_in

PACE = Pace(steps={"denoise": ((1e8, 0.1), (1e10, 2.0)), "finetune": ((1e8, 0.05),)}, answer_s=0.01, start_s=0.5)
SPEED = Speed(paces={SETTINGS.setting.base: PACE})
READING = replace(SETTING, budget_tokens=12 * tiny.TOKENS_A_PASSAGE * 3)
A_RUN_S = 10.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


class Clock:
    """Goes on as runs are run."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class CostlyRunner(FakeRunner):
    """Runs cost the tokens that they read, and ten seconds each; one that is asked to end before it could is stopped."""

    def __init__(self, *args: Any, data: Prepared, clock: Clock, cache: set[str] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.data, self.clock, self.cache = data, clock, cache
        self.stopped: list[str] = []

    def used(self, request: Request) -> dict[str, float]:
        self.clock.now += A_RUN_S
        if self.cache is None:
            return {"tokens": tokens(request.recipe, request.seeds, self.data)}
        read = sum(n for _, n in by_prefix(request.recipe, request.seeds, self.data, self.cache))
        self.cache |= set(request.stages)
        return {"tokens": read}


def capped(
    folder: Path, data: Prepared, clock: Clock | None = None, space: str = "masking", cache: set[str] | None = None,
    keeps: bool = True, **caps: Any,
) -> tuple[Conduct, CostlyRunner, Plan, Allowance]:  # fmt: skip
    """A study on one lane under caps, ready to run: a new one, or one that goes on. cache: the stages in it, if there is one.
    keeps: what is trained."""
    clock = clock or Clock()
    study, ledger = conduct_in(folder, data, clock=clock, setting=READING, trials=9, seeds=5, space=space)
    shared = None if cache is None else Shared(held=frozenset(cache), room_bytes=10**9)
    if study.study.runs:
        study.study.apply(ledger.append("resumed"))
    cost = plan(study, lanes=1, parameters=1, speed=SPEED, cache=shared)
    given = Caps(**caps)
    left_s = given.seconds_left(study.study, devices=1)
    allowance = Allowance(
        given, study.study, data, seed=0, share=cost.share, lanes=1, seconds_left=left_s, run_s=A_RUN_S, clock=clock,
        cache=shared,
    )  # fmt: skip
    study.allowance = allowance
    runner = CostlyRunner(ledger, study.study, data=data, clock=clock, cache=cache if keeps else None)
    return study, runner, cost, allowance


def read(study: Conduct) -> int:
    return int(sum(run.metrics["tokens"] for run in study.study.runs.values()))


@pytest.fixture
def whole(tmp_path: Path, data: Prepared) -> int:
    """What the study reads without a cap."""
    study, runner, *_ = capped(tmp_path / "whole", data)
    assert conduct(study, nullcontext(runner)) is not None
    return read(study)


@pytest.mark.parametrize("share", [0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0])
def test_tokens_are_never_overshot_and_there_is_a_verdict(share: float, whole: int, tmp_path: Path, data: Prepared) -> None:
    study, runner, cost, _ = capped(tmp_path / "s", data, max_tokens=round(share * whole))
    if round(share * whole) < cost.smallest.tokens:
        pytest.skip("the share is below the smallest useful search")
    verdict = conduct(study, nullcontext(runner))
    assert read(study) <= round(share * whole)
    assert verdict is not None and verdict["seeds"] >= 2 and verdict["difference"] is not None
    assert share == 1 or study.capped()


@pytest.mark.parametrize("held", [False, True])
def test_what_runs_share_counts_once(held: bool, tmp_path: Path, data: Prepared) -> None:
    """A cap of a few beginnings is enough for nine trials and the first look of a verdict of ten runs."""
    cache: set[str] = set()
    if held:
        first, runner, *_ = capped(tmp_path / "before", data, space="hyperparameters", cache=cache)
        conduct(first, nullcontext(runner))
    study, runner, cost, _ = capped(tmp_path / "a", data, space="hyperparameters", cache=set(cache))
    assert cost.smallest.tokens == 0 if held else cost.smallest.tokens > 0
    cap = max(1, cost.smallest.tokens)
    study, runner, *_ = capped(tmp_path / "s", data, space="hyperparameters", cache=cache, max_tokens=cap)
    verdict = conduct(study, nullcontext(runner))
    assert verdict is not None and verdict["n_seeds"] >= 2
    assert len(study.study.of_role("explore")) == 9
    assert read(study) <= cap


def test_a_cache_that_keeps_nothing_is_found_out(tmp_path: Path, data: Prepared) -> None:
    """At most one run, which was admitted before that was known, reads more than was meant."""
    _, _, cost, _ = capped(tmp_path / "a", data, space="hyperparameters", cache=set())
    alone = cost.known[1]
    study, runner, *_ = capped(
        tmp_path / "s", data, space="hyperparameters", cache=set(), keeps=False, max_tokens=cost.smallest.tokens
    )
    conduct(study, nullcontext(runner))
    explored = sum(run.metrics["tokens"] for run in study.study.of_role("explore"))
    assert len(study.study.of_role("explore")) == 2 and explored == 2 * alone
    assert "no room for" in study.capped()[EXPLORATION]


def test_the_smallest_useful_search_is_enough(tmp_path: Path, data: Prepared) -> None:
    _, _, cost, _ = capped(tmp_path / "a", data)
    study, runner, *_ = capped(tmp_path / "s", data, max_tokens=cost.smallest.tokens)
    verdict = conduct(study, nullcontext(runner))
    assert verdict is not None and verdict["seeds"] >= 2
    assert len(study.study.of_role("explore")) >= 2
    assert "no room for" in study.capped()[EXPLORATION] and "kept for the verdict" in study.capped()[EXPLORATION]


def test_with_more_room_it_goes_on(whole: int, tmp_path: Path, data: Prepared) -> None:
    study, runner, *_ = capped(tmp_path / "s", data, max_tokens=round(0.6 * whole))
    conduct(study, nullcontext(runner))
    few, before = len(study.study.of_role("explore")), read(study)
    runner.ledger.close()
    study, runner, *_ = capped(tmp_path / "s", data, max_tokens=2 * whole)
    assert conduct(study, nullcontext(runner)) is not None
    assert few < len(study.study.of_role("explore")) == 9
    assert before < read(study) <= 2 * whole  # what was read before counts


def test_with_the_same_cap_nothing_more_is_run(whole: int, tmp_path: Path, data: Prepared) -> None:
    study, runner, *_ = capped(tmp_path / "s", data, max_tokens=round(0.6 * whole))
    first = conduct(study, nullcontext(runner))
    runner.ledger.close()
    study, runner, cost, allowance = capped(tmp_path / "s", data, max_tokens=round(0.6 * whole))
    allowance.close(cost.cheapest_trial)
    assert conduct(study, nullcontext(runner)) == first
    assert runner.ran == []


@pytest.mark.parametrize("runs", [15, 20, 25, 40])
def test_hours_leave_the_verdict_its_time(runs: int, tmp_path: Path, data: Prepared) -> None:
    clock = Clock()
    study, runner, *_ = capped(tmp_path / "s", data, clock, max_hours=runs * A_RUN_S / 3600)
    verdict = conduct(study, nullcontext(runner))
    assert clock.now - 1000.0 <= runs * A_RUN_S
    assert verdict is not None and verdict["seeds"] >= 2


def test_runs_are_told_when_they_must_end(tmp_path: Path, data: Prepared) -> None:
    study, runner, cost, _ = capped(tmp_path / "s", data, max_hours=1.0)
    runner.explore(study)
    recipe, values, _ = study.space.decode({"policy": "span"}, READING)
    assert study.explore_request(recipe, values, 99).until == pytest.approx(1000.0 + 3600 - cost.share.rounds * A_RUN_S)
    assert all(request.until == 1000.0 + 3600 for request in study.confirmation())
    assert capped(tmp_path / "t", data)[0].explore_request(recipe, values, 0).until is None


def test_a_run_that_was_stopped_is_due_again_when_the_study_goes_on(tmp_path: Path, data: Prepared) -> None:
    study, runner, *_ = capped(tmp_path / "s", data)
    recipe, values, _ = study.space.decode({"policy": "span"}, READING)
    request = study.explore_request(recipe, values, 0)
    runner._tell("run", recipe={}, **{k: getattr(request, k) for k in ("key", "role", "replicate", "trial", "values", "label")})
    runner._tell("start", key=request.key, lane=0, attempt=1)
    runner._tell("end", key=request.key, state="stopped", metrics={"tokens": 5}, scores={}, seconds={}, error="stopped: ...")
    assert study.still_due() == 8 and study.study.counts()["stopped"] == 1
    runner._tell("resumed")
    assert study.still_due() == 9
    assert Study.read(tmp_path / "s").runs[request.key].state == "waiting"


def test_money_is_time_on_devices(tmp_path: Path, data: Prepared) -> None:
    study = Study(name="s", settings={}, data={}, environment={}, created=0.0, updated=1.0)
    study.apply({"event": "limits", "time": 1.0, "caps": {}, "price": 3.0, "devices": 2})
    study.apply({"event": "interrupted", "time": 1801.0})
    assert (study.worked_s, study.device_s, study.usd) == (1800.0, 3600.0, 3.0)
    study.apply({"event": "resumed", "time": 9801.0})  # nobody was at work
    assert study.usd == 3.0
    assert Caps(max_cost=9.0, price=3.0).seconds_left(study, devices=4) == pytest.approx(1800.0)
    assert Caps(max_cost=9.0, price=3.0, max_hours=0.75).seconds_left(study, devices=4) == pytest.approx(900.0)


@pytest.mark.parametrize(
    ("caps", "told"),
    [
        ({"max_tokens": 0}, "--max-tokens is 0; expected a positive number of corpus tokens"),
        ({"max_hours": -1.0}, "--max-hours is -1; expected a positive number"),
        ({"max_hours": float("nan")}, "--max-hours is nan"),
        ({"max_cost": 5.0}, "--max-cost needs --price"),
        ({"price": 0.0}, "--price is 0; expected a positive number of USD"),
        ({"price": float("inf")}, "--price is inf"),
    ],
)
def test_caps_without_sense(caps: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Caps(**caps)


@pytest.mark.parametrize(
    ("caps", "told"),
    [
        ({"max_tokens": 999}, r"--max-tokens 999 is too little: the smallest useful search, 2 trials and the verdict's first 3 "
                              r"seeds, takes up to 1,000 of corpus tokens"),
        ({"max_hours": 0.5}, "--max-hours 0.5 is too little: .* takes up to 1 of hours"),
        ({"max_cost": 5.0, "price": 2.0}, "--max-cost 5.0 is too little: .* takes up to 8 of USD"),
    ],
)  # fmt: skip
def test_a_cap_below_the_smallest_useful_search(caps: dict[str, Any], told: str) -> None:
    smallest = Smallest(tokens=1000, seconds=3600.0, seeds=3)
    with pytest.raises(UserError, match=told):
        check_smallest(Caps(**caps), smallest, devices=4)
    check_smallest(Caps(max_tokens=1000, max_hours=1.0, max_cost=8.0, price=2.0), smallest, devices=4)


def test_a_race_that_a_cap_ended_stays_ended(tmp_path: Path, data: Prepared) -> None:
    """With the verdict's first run, the winner stands."""
    study, runner, cost, allowance = capped(tmp_path / "s", data, max_tokens=10**9)
    runner.explore(study)
    rounds = study.race()
    allowance.share = Share(tokens=10**9, rounds=1)
    assert study.race() == [] and SELECTION in study.capped()
    asked = study.due()
    assert {request.role for request in asked} <= {"confirm", "baseline"}
    runner.run(asked[:1])
    allowance.share = cost.share
    assert rounds and study.race() == []
