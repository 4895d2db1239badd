"""Runs that begin with the same stages: one trains them, the others wait for it; and on real lanes the second reuses them."""

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from raylab.cluster import queue as module
from raylab.cluster.queue import ATTEMPTS, Queue
from raylab.cluster.runner import LaneRunner, Placement
from raylab.recipe import stage_keys
from raylab.search.ledger import Ledger, Study
from raylab.search.study import Request
from raylab.seeds import Seeds
from tests import tiny
from tests.cluster.test_queue import end, in_a_loop, request, settle


@pytest.fixture(autouse=True)
def _short_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.05)


async def asked(*runs: tuple[str, tuple[str, ...]]) -> Queue:
    """A queue of runs, each with the keys of its stages."""
    queue = Queue({})
    for key, stages in runs:
        await queue.submit({**request(key), "stages": list(stages)})
    return queue


async def given(queue: Queue, lane: int) -> str | None:
    """The run that a lane is given, if any."""
    taken = await queue.take(lane)
    return taken["key"] if taken else None


@in_a_loop
async def test_one_trains_what_others_wait_for() -> None:
    queue = await asked(("a", ("s",)), ("b", ("s",)), ("c", ("s",)))
    assert [await given(queue, lane) for lane in range(3)] == ["a", None, None]
    waiting = asyncio.create_task(queue.take(1))
    await settle()
    await queue.staged("s")
    taken = await waiting
    assert taken is not None and taken["key"] == "b", "a goes on with its finetuning, and b begins"
    await queue.staged("s")
    assert await given(queue, 2) == "c"


@in_a_loop
async def test_another_beginning_goes_ahead() -> None:
    queue = await asked(("a", ("s",)), ("b", ("s",)), ("c", ("t",)), ("d", ()))
    assert [await given(queue, lane) for lane in range(4)] == ["a", "c", "d", None]


@in_a_loop
async def test_a_shared_first_stage_is_enough_to_wait_for() -> None:
    queue = await asked(("a", ("s", "s+t")), ("b", ("s", "s+u")))
    assert [await given(queue, lane) for lane in range(2)] == ["a", None]
    await queue.staged("s")
    assert await given(queue, 1) == "b", "though a still trains what comes after"


@pytest.mark.parametrize("state", ["failed", "diverged", "stopped"])
@in_a_loop
async def test_a_run_that_ended_badly_lets_go(state: str) -> None:
    queue = await asked(("a", ("s",)), ("b", ("s",)))
    assert await given(queue, 0) == "a"
    await queue.finish(0, end("a", state))
    assert await given(queue, 0) == "b"


@in_a_loop
async def test_a_run_whose_lane_was_lost_is_the_next_and_lets_go_for_good_when_it_is_given_up() -> None:
    queue = await asked(("a", ("s",)), ("b", ("s",)))
    for _ in range(ATTEMPTS):
        assert await given(queue, 0) == "a"
        assert await given(queue, 1) is None
        await queue.lost(0, "gone")
    assert await given(queue, 1) == "b"


@in_a_loop
async def test_a_queue_that_is_closed_serves_those_that_wait() -> None:
    queue = await asked(("a", ("s",)), ("b", ("s",)))
    assert await given(queue, 0) == "a"
    await queue.close()
    assert await queue.take(1) is None, "nothing yet, and not the end"
    await queue.staged("s")
    assert await given(queue, 1) == "b"
    await queue.finish(0, end("a"))
    assert await queue.take(0) == {}


def finetuning(data: Any, number: int, role: str = "explore") -> Request:
    """A run of the same pretraining, finetuned for another number of steps."""
    recipe = tiny.recipe(finetune_steps=3 + number)
    seeds = Seeds.of(0, 0)
    return Request(
        recipe=recipe, seeds=seeds, role=role, replicate=0, key=f"run{number}", label=str(number), trial=number,
        stages=tuple(stage_keys(recipe, seeds, data.fingerprint)),
    )  # fmt: skip


def test_on_a_lane_the_second_run_reuses_what_the_first_trained(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path)
    study = Study(name=f"prefixes-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    place = Placement(folder=tmp_path / "study", lanes=1)
    place.folder.mkdir()
    with contextlib.closing(Ledger(place.folder)) as ledger, LaneRunner(place, data.folder, study, ledger) as runner:
        runner.run([finetuning(data, 0), finetuning(data, 1)])
    runs = (study.runs[f"run{number}"] for number in range(2))
    second, first = sorted(runs, key=lambda run: run.metrics["tokens"])  # which was taken up first is the queue's business
    assert (first.error, second.error) == (None, None)
    assert first.metrics["tokens"] == second.metrics["reused_tokens"] > 0
    assert first.metrics["reused_tokens"] == second.metrics["tokens"] == 0
    assert second.metrics["reused_seconds"] > 0
