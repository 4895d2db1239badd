"""The queue: one run a key, whoever asks; a run goes on while somebody wants it; a lost lane's run is not lost."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from raylab.cluster import queue as module
from raylab.cluster import roster
from raylab.cluster.queue import ATTEMPTS, Queue

METRICS = {"dev_f1": 0.5}


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test's coroutine; one that waits for what does not come fails."""

    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **named), timeout=300))

    return run


@pytest.fixture(autouse=True)
def _short_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.05)


class Clock:
    """The queue's clock, moved by hand."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(roster, "time", clock)
    return clock


def request(key: str, trial: int = 0) -> dict[str, Any]:
    return {"key": key, "role": "explore", "replicate": 0, "trial": trial, "recipe": {}, "values": {}, "label": key}


def taken(key: str, attempt: int = 1, trial: int = 0) -> dict[str, Any]:
    """The request as a lane gets it."""
    return {**request(key, trial), "attempt": attempt, "left_s": None}


def end(key: str, state: str = "finished") -> dict[str, Any]:
    return {"key": key, "state": state, "metrics": METRICS, "scores": {}, "seconds": {}, "error": None}


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def told(queue: Queue) -> list[str]:
    return [event["event"] for event in (await queue.poll())[0]]


async def at_a_rung(queue: Queue, key: str = "a", lane: int = 0) -> "asyncio.Task[bool]":
    """A lane that waits at the run's rung."""
    waiting = asyncio.create_task(queue.rung(key, 0.25, METRICS))
    await settle()
    return waiting


@in_a_loop
async def test_a_run_from_request_to_end() -> None:
    queue = Queue({})
    token = await queue.submit(request("a"))
    assert await queue.take(0) == taken("a")
    await queue.tick(0, {"key": "a", "step": 3}, [{"step": 3, "loss": 1.0}])
    events, live = await queue.poll()
    assert [e["event"] for e in events] == ["run", "start", "curve"]
    assert events[1] == {"event": "start", "key": "a", "lane": 0, "attempt": 1}
    assert live == {0: {"key": "a", "step": 3}}
    await queue.finish(0, end("a"))
    assert await queue.progress("a", token) == {"event": "end", **end("a")}
    assert await queue.poll() == ([{"event": "end", **end("a")}], {})


@in_a_loop
async def test_lanes_take_in_the_order_of_asking() -> None:
    queue = Queue({})
    for key in "abc":
        await queue.submit(request(key))
    assert [(await queue.take(lane))["key"] for lane in range(3)] == ["a", "b", "c"]  # type: ignore[index]


@in_a_loop
async def test_an_idle_lane_is_answered_nothing_yet() -> None:
    assert await Queue({}).take(0) is None


@in_a_loop
async def test_a_waiting_lane_is_woken() -> None:
    queue = Queue({})
    lanes = [asyncio.create_task(queue.take(lane)) for lane in range(2)]
    await settle()
    await queue.submit(request("a"))
    given = await asyncio.gather(*lanes)
    assert sorted(given, key=str) == sorted([taken("a"), None], key=str)  # one has it, one is told to wait on


@in_a_loop
async def test_a_run_asked_for_twice_runs_once_and_answers_both() -> None:
    queue = Queue({})
    first = await queue.submit(request("a"))
    second = await queue.submit(request("a", trial=1))
    assert first != second
    assert await told(queue) == ["run", "cached"]
    await queue.take(0)
    assert await queue.take(1) is None
    await queue.finish(0, end("a"))
    late = await queue.submit(request("a", trial=2))
    for token in (first, second, late):
        assert (await queue.progress("a", token))["state"] == "finished"


@in_a_loop
async def test_what_ended_before_is_answered_from_the_ledger() -> None:
    queue = Queue({"a": {"event": "end", **end("a", "pruned")}})
    token = await queue.submit(request("a", trial=7))
    assert (await queue.progress("a", token))["state"] == "pruned"
    assert await queue.take(0) is None
    assert (await queue.poll())[0] == [{"event": "cached", "key": "a", "trial": 7}]


@in_a_loop
async def test_permission_lets_a_run_pass_its_rung() -> None:
    queue = Queue({})
    token = await queue.submit(request("a"))
    await queue.take(0)
    waiting = await at_a_rung(queue)
    assert not waiting.done()
    event = await queue.progress("a", token)
    assert event == {"event": "rung", "key": "a", "fraction": 0.25, "metrics": METRICS}
    await queue.allow("a", token)
    assert await waiting is True


@in_a_loop
async def test_a_run_that_all_let_go_stops_at_its_rung() -> None:
    queue = Queue({})
    tokens = [await queue.submit(request("a")) for _ in range(2)]
    await queue.take(0)
    waiting = await at_a_rung(queue)
    await queue.release("a", tokens[0])
    await settle()
    assert not waiting.done()  # the other still wants it
    await queue.release("a", tokens[1])
    assert await waiting is False


@in_a_loop
async def test_one_that_wants_it_is_enough() -> None:
    queue = Queue({})
    tokens = [await queue.submit(request("a")) for _ in range(2)]
    await queue.take(0)
    waiting = await at_a_rung(queue)
    await queue.allow("a", tokens[1])
    await queue.release("a", tokens[0])
    assert await waiting is True


@in_a_loop
async def test_a_run_let_go_before_its_rung_stops_there() -> None:
    queue = Queue({})
    token = await queue.submit(request("a"))
    await queue.take(0)
    await queue.release("a", token)
    assert await queue.rung("a", 0.25, METRICS) is False
    assert await told(queue) == ["run", "start", "rung"]  # the figure counts all the same


@in_a_loop
async def test_stale_tokens_say_nothing() -> None:
    """With actor reuse Tune releases late, and twice."""
    queue = Queue({})
    stale, held = [await queue.submit(request("a")) for _ in range(2)]
    await queue.take(0)
    await queue.release("a", stale)
    waiting = await at_a_rung(queue)
    await queue.release("a", stale)
    await queue.allow("a", stale)
    await queue.release("a", 99)
    await settle()
    assert not waiting.done()
    await queue.allow("a", held)
    assert await waiting is True
    await queue.allow("a", held)  # once more than there was to allow


@in_a_loop
async def test_who_joins_at_a_rung_hears_of_it() -> None:
    """Else it would wait for ever once the first lets go: nobody would decide."""
    queue = Queue({})
    first = await queue.submit(request("a"))
    await queue.take(0)
    waiting = await at_a_rung(queue)
    second = await queue.submit(request("a", trial=1))
    await queue.release("a", first)
    assert (await queue.progress("a", second))["event"] == "rung"
    await queue.allow("a", second)
    assert await waiting is True


@in_a_loop
async def test_who_joins_after_a_rung_hears_only_of_the_end() -> None:
    queue = Queue({})
    first = await queue.submit(request("a"))
    await queue.take(0)
    waiting = await at_a_rung(queue)
    await queue.allow("a", first)
    assert await waiting
    second = await queue.submit(request("a", trial=1))
    await queue.finish(0, end("a"))
    assert (await queue.progress("a", second))["event"] == "end"


@in_a_loop
async def test_a_lost_lane_takes_its_run_again() -> None:
    queue = Queue({})
    await queue.submit(request("a"))
    await queue.submit(request("b"))
    assert await queue.take(0) == taken("a")
    await queue.tick(0, {"key": "a", "position": 7}, [])
    assert await queue.lost(0, "worker 0: killed")
    assert await queue.take(0) == taken("a", attempt=2)
    assert await queue.take(1) == taken("b")
    events = (await queue.poll())[0]
    assert [(e["key"], e["attempt"]) for e in events if e["event"] == "start"] == [("a", 1), ("a", 2), ("b", 1)]
    lost = {"key": "a", "lane": 0, "attempt": 1, "position": 7, "reason": "worker 0: killed", "fault": True}
    assert [e for e in events if e["event"] == "lost"] == [{"event": "lost", **lost}]


@in_a_loop
async def test_a_lane_that_asks_while_it_should_be_running_was_lost() -> None:
    """Its keeper was lost with it, and could not say so."""
    queue = Queue({})
    await queue.submit(request("a"))
    await queue.take(0)
    assert await queue.take(0) == taken("a", attempt=2)
    assert await told(queue) == ["run", "start", "lost", "start"]


@in_a_loop
async def test_an_idle_lane_that_is_lost_loses_no_run() -> None:
    queue = Queue({})
    await queue.take(0)
    assert await queue.lost(0, "killed")
    assert await told(queue) == []


@in_a_loop
async def test_a_lane_that_never_asks_for_a_run_is_not_started_for_ever() -> None:
    queue = Queue({})
    assert [await queue.lost(0, "no such folder") for _ in range(ATTEMPTS)] == [True, True, False]
    assert await queue.lost(1, "killed"), "another lane"
    await queue.take(0)
    assert await queue.lost(0, "killed"), "it stood in between"


@in_a_loop
async def test_attempts_lost_before_a_resume_count() -> None:
    queue = Queue({}, {"a": ATTEMPTS - 1})
    await queue.submit(request("a"))
    assert await queue.take(0) == taken("a", attempt=ATTEMPTS)
    await queue.lost(0, "killed")
    assert await told(queue) == ["run", "start", "lost", "end"]


@in_a_loop
async def test_who_lost_its_own_process_asks_again_and_is_not_cached() -> None:
    queue = Queue({})
    for _ in range(2):
        await queue.submit(request("a", trial=4))
    await queue.submit(request("a", trial=5))
    assert await told(queue) == ["run", "cached"]


@in_a_loop
async def test_a_lane_that_tells_nothing_hangs(clock: Clock) -> None:
    queue = Queue({})
    for rank in range(2):
        await queue.join(0, rank, "here", 100 + rank, f"worker {rank}")
    await queue.submit(request("a"))
    await queue.take(0)
    clock.now += 9
    assert await queue.hanging(10, 50) == []
    await queue.tick(0, {"key": "a", "position": 3}, [])
    clock.now += 9
    assert await queue.hanging(10, 50) == []
    clock.now += 2
    assert await queue.hanging(10, 50) == ["worker 0", "worker 1"]
    assert await queue.hanging(10, 50) == [], "once"
    await queue.lost(0, "killed")
    lost = next(e for e in (await queue.poll())[0] if e["event"] == "lost")
    assert lost["reason"] == "it hung: its workers told nothing for 11 s and were killed"


@in_a_loop
async def test_a_lane_that_has_nothing_to_tell_does_not_hang(clock: Clock) -> None:
    """It is asleep, waits for a decision at a rung, or is being started anew."""
    queue = Queue({})
    token = await queue.submit(request("a"))
    await queue.take(0)
    waiting = await at_a_rung(queue)
    clock.now += 100
    assert await queue.hanging(10, 50) == []
    await queue.allow("a", token)
    assert await waiting
    assert await queue.hanging(10, 50) == []
    await queue.lost(0, "killed")
    clock.now += 1000
    assert await queue.hanging(10, 50) == []


@in_a_loop
async def test_an_idle_lane_that_stops_asking_hangs(clock: Clock) -> None:
    queue = Queue({})
    await queue.gathered(0, ["worker 0"])
    assert await queue.take(0) is None
    clock.now += 9
    assert await queue.take(0) is None
    clock.now += 9
    assert await queue.hanging(10, 50) == []
    clock.now += 2
    assert await queue.hanging(10, 50) == ["worker 0"]
    assert await queue.lost(0, "killed")
    assert await told(queue) == [], "no run was lost with it"


@in_a_loop
async def test_a_lane_that_hangs_at_its_start_is_killed(clock: Clock) -> None:
    """Waiting for room is no hang: Ray Train gives that up by itself, and says so."""
    queue = Queue({})
    assert await queue.wanted(0)
    clock.now += 1000
    assert await queue.hanging(10, 50) == [], "nobody asks for workers yet"
    await queue.gathering(0, "controller")
    clock.now += roster.ROOM_S + 50
    assert await queue.hanging(10, 50) == []
    await queue.gathered(0, ["worker 0", "worker 1"])
    clock.now += 50
    assert await queue.hanging(10, 50) == []
    clock.now += 1
    assert await queue.hanging(10, 50) == ["worker 0", "worker 1"]
    assert await queue.hanging(10, 50) == [], "once"
    assert await queue.lost(0, "killed")
    assert await queue.wanted(0)
    await queue.gathering(0, "controller")
    clock.now += roster.ROOM_S + 51
    assert await queue.hanging(10, 50) == ["controller"], "its processes never came"
    assert await queue.lost(0, "killed")
    assert await queue.wanted(0)
    await queue.gathering(0, "controller")
    await queue.gathered(0, ["worker 0"])
    await queue.take(0)
    clock.now += 51
    assert await queue.hanging(100, 50) == [], "it is up"


@in_a_loop
async def test_a_lost_run_is_taken_up_by_the_next_lane_that_is_free() -> None:
    queue = Queue({})
    for key in "ab":
        await queue.submit(request(key))
    await queue.take(0)
    await queue.lost(0, "killed")
    assert await queue.take(1) == taken("a", attempt=2)
    assert await queue.take(0) == taken("b")


@in_a_loop
async def test_who_was_lost_while_it_asked_is_given_nothing() -> None:
    """The question of a killed worker is still open when the next run comes."""
    queue = Queue({})
    asked = asyncio.create_task(queue.take(0))
    await settle()
    await queue.lost(0, "killed")
    await queue.submit(request("a"))
    assert await asked is None
    assert await queue.take(0) == taken("a")


@in_a_loop
async def test_a_lane_that_is_resized_costs_no_attempt() -> None:
    queue = Queue({})
    await queue.submit(request("a"))
    for attempt in range(1, 2 * ATTEMPTS):
        assert await queue.take(0) == taken("a", attempt)
        await queue.resized(0, 2)
    events = [e for e in (await queue.poll())[0] if e["event"] in ("lost", "end")]
    assert {e["event"] for e in events} == {"lost"}
    assert not any(e["fault"] for e in events)
    assert events[0]["reason"] == "the lane is resized to 2 workers"
    await queue.take(0)
    await queue.lost(0, "its machine had been announced to go", fault=False)
    assert await told(queue) == ["start", "lost"]


# --- lanes that come when runs wait, and go when none do ------------------------------------------------------------


def on_demand(idle_after_s: float = 60.0) -> Queue:
    return Queue({}, idle_after_s=idle_after_s)


async def asleep(queue: Queue, lanes: int) -> list["asyncio.Task[bool]"]:
    """The keeper's questions whether each lane is wanted."""
    questions = [asyncio.create_task(queue.wanted(lane)) for lane in range(lanes)]
    await settle()
    return questions


def called(questions: list["asyncio.Task[bool]"]) -> list[int]:
    return [lane for lane, question in enumerate(questions) if question.done()]


@in_a_loop
async def test_lanes_that_stay_up_are_called_at_once() -> None:
    questions = await asleep(Queue({}), 3)
    assert called(questions) == [0, 1, 2]


@in_a_loop
async def test_as_many_lanes_are_called_as_runs_wait_lowest_numbers_first() -> None:
    queue = on_demand()
    questions = await asleep(queue, 4)
    assert called(questions) == []
    for key in "ab":
        await queue.submit(request(key))
    await settle()
    assert called(questions) == [0, 1]
    assert all([await questions[lane] for lane in (0, 1)])
    await queue.submit(request("a", trial=7))
    await settle()
    assert called(questions) == [0, 1], "the same run again needs no lane"
    await queue.take(0)
    await queue.submit(request("c"))
    await settle()
    assert called(questions) == [0, 1, 2], "lane 1 is on its way to b, lane 0 is at a"


@in_a_loop
async def test_an_idle_lane_is_enough_for_a_run() -> None:
    queue = on_demand()
    questions = await asleep(queue, 2)
    await queue.submit(request("a"))
    await queue.take(0)
    await queue.finish(0, end("a"))
    await queue.submit(request("b"))
    await settle()
    assert called(questions) == [0], "it is about to ask again"
    await queue.submit(request("c"))
    await settle()
    assert called(questions) == [0, 1]


@in_a_loop
async def test_a_lane_that_was_idle_for_long_enough_ends_and_is_called_again(clock: Clock) -> None:
    queue = on_demand()
    await asleep(queue, 1)
    await queue.submit(request("a"))
    await queue.take(0)
    clock.now += 100
    await queue.finish(0, end("a"))
    assert await queue.take(0) is None
    clock.now += 59
    assert await queue.take(0) is None
    clock.now += 1
    assert await queue.take(0) == {}
    again = (await asleep(queue, 1))[0]
    assert not again.done()
    await queue.submit(request("b"))
    assert await again is True


@in_a_loop
async def test_a_lane_is_as_long_idle_as_its_last_run_is_over(clock: Clock) -> None:
    queue = on_demand()
    assert await queue.take(0) is None
    clock.now += 50
    await queue.submit(request("a"))
    await queue.take(0)
    await queue.finish(0, end("a"))
    clock.now += 50
    assert await queue.take(0) is None


@in_a_loop
async def test_a_lost_run_calls_a_lane() -> None:
    queue = on_demand()
    questions = await asleep(queue, 2)
    await queue.submit(request("a"))
    await queue.take(0)
    await queue.lost(0, "its machine died")
    await settle()
    assert called(questions) == [0, 1], "lane 0 is not asked for again yet"
    back = asyncio.create_task(queue.wanted(0))
    await settle()
    assert not back.done(), "one lane for one run"
    assert await queue.take(1) == taken("a", attempt=2)


@in_a_loop
async def test_a_lane_for_which_there_was_no_room_is_not_asked_for_in_vain() -> None:
    """What waited for it is with another lane by then."""
    queue = on_demand()
    questions = await asleep(queue, 2)
    for key in "ab":
        await queue.submit(request(key))
    assert await queue.take(0) == taken("a")
    await queue.finish(0, end("a"))
    assert await queue.take(0) == taken("b")
    assert await questions[1]
    again = asyncio.create_task(queue.wanted(1))
    await settle()
    assert not again.done()


@in_a_loop
async def test_a_keeper_that_was_lost_asks_again() -> None:
    queue = on_demand()
    await asleep(queue, 2)
    await queue.submit(request("a"))
    await queue.take(0)
    questions = await asleep(queue, 2)
    assert called(questions) == [0], "the run that it was at waits again"
    assert await told(queue) == ["run", "start", "lost"]


@in_a_loop
async def test_closing_wakes_the_lanes_that_sleep() -> None:
    queue = on_demand()
    questions = await asleep(queue, 2)
    await queue.close()
    assert [await question for question in questions] == [False, False]
    assert await queue.wanted(0) is False


@in_a_loop
async def test_closing_lets_lanes_come_for_what_is_due() -> None:
    queue = on_demand()
    await queue.submit(request("a"))
    await queue.close()
    questions = await asleep(queue, 2)
    assert called(questions) == [0]
    assert await queue.take(0) == taken("a")
    assert await questions[1] is False


@in_a_loop
async def test_lanes_that_come_are_told_of() -> None:
    queue = on_demand()
    await asleep(queue, 3)
    for key in "ab":
        await queue.submit(request(key))
    await queue.gathering(1, "controller")
    await queue.gathered(1, ["worker"])
    assert (await queue.poll())[1] == {0: {"state": "waiting for nodes"}, 1: {"state": "starting"}}
    await queue.take(1)
    await queue.tick(1, {"key": "a", "step": 3}, [])
    assert (await queue.poll())[1] == {0: {"state": "waiting for nodes"}, 1: {"key": "a", "step": 3}}
    here = Queue({})
    await asleep(here, 1)
    assert (await here.poll())[1] == {0: {"state": "starting"}}, "on one machine there is always room"


@in_a_loop
async def test_workers_meet_at_the_end_of_a_run() -> None:
    queue = Queue({})
    await queue.submit(request("a"))
    await queue.take(0)
    first = asyncio.create_task(queue.meet(0, 1, 0, 2, end("a")))
    await settle()
    assert not first.done()
    failed = {**end("a", "failed"), "error": "ValueError: one rank alone"}
    assert await queue.meet(0, 1, 1, 2, failed) == failed
    assert await first == failed, "what one raised ends the run for all"
    assert await told(queue) == ["run", "start"], "rank 0 reports it"


@in_a_loop
async def test_a_worker_that_raised_alone_ends_the_run_and_starts_the_lane_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    queue = Queue({})
    await queue.submit(request("a"))
    await queue.take(0)
    failed = {**end("a", "failed"), "error": "ValueError: the others wait"}
    assert await queue.meet(0, 1, 1, 2, failed) is None
    assert await queue.lost(0, "raised alone")
    assert await told(queue) == ["run", "start", "end"], "the recipe's own error costs no second attempt"


@in_a_loop
async def test_a_worker_that_raised_for_a_lost_one_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    queue = Queue({})
    await queue.submit(request("a"))
    await queue.take(0)
    broken = {**end("a", "failed"), "error": "RuntimeError: connection closed by peer"}
    meeting = asyncio.create_task(queue.meet(0, 1, 0, 2, broken))
    await settle()
    await queue.lost(0, "worker 1: killed")
    assert await queue.take(0) == taken("a", attempt=2)
    assert await meeting is None
    assert await queue.meet(0, 1, 0, 2, broken) is None, "an attempt that is over"
    assert await told(queue) == ["run", "start", "lost", "start"]


@in_a_loop
async def test_a_lane_lost_at_a_rung_asks_there_again() -> None:
    queue = Queue({})
    token = await queue.submit(request("a"))
    await queue.take(0)
    lost = await at_a_rung(queue)
    await queue.take(0)
    assert await lost is False  # told to nobody
    again = await at_a_rung(queue)
    for _ in range(2):
        assert (await queue.progress("a", token))["event"] == "rung"
    await queue.allow("a", token)
    assert await again is True


@in_a_loop
async def test_a_recipe_that_takes_its_lane_down_every_time_fails() -> None:
    queue = Queue({})
    token = await queue.submit(request("a"))
    await queue.submit(request("b"))
    for attempt in range(1, ATTEMPTS + 1):
        assert await queue.take(0) == taken("a", attempt)
        assert await queue.lost(0, "worker 0: killed")
    event = await queue.progress("a", token)
    assert event["state"] == "failed"
    assert event["error"].startswith("infrastructure: the lane was lost 3 times")
    assert event["error"].endswith("worker 0: killed")
    assert await queue.take(0) == taken("b")  # the lane lives


@in_a_loop
async def test_a_second_report_of_an_end_is_ignored() -> None:
    queue = Queue({})
    token = await queue.submit(request("a"))
    await queue.take(0)
    await queue.finish(0, end("a"))
    await queue.finish(0, end("a", "failed"))
    assert await told(queue) == ["run", "start", "end"]
    assert (await queue.progress("a", token))["state"] == "finished"


@in_a_loop
async def test_events_are_told_once() -> None:
    queue = Queue({})
    await queue.submit(request("a"))
    assert await told(queue) == ["run"]
    assert await told(queue) == []


@in_a_loop
async def test_a_closed_queue_ends_idle_lanes_after_what_is_due() -> None:
    queue = Queue({})
    await queue.submit(request("a"))
    await queue.close()
    assert await queue.take(0) == taken("a")
    assert await queue.take(1) == {}


@in_a_loop
async def test_closing_wakes_a_waiting_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 600.0)
    queue = Queue({})
    waiting = asyncio.create_task(queue.take(0))
    await settle()
    await queue.close()
    assert await waiting == {}


@in_a_loop
async def test_a_lane_of_several_seats_runs_several_runs() -> None:
    queue = Queue({}, seats=2)
    for key in "abc":
        await queue.submit(request(key))
    assert [await queue.take(seat) for seat in (0, 1)] == [taken("a"), taken("b")]
    await queue.finish(1, end("b"))
    assert await queue.take(1) == taken("c")


@in_a_loop
async def test_runs_that_are_lost_together_go_on_one_at_a_time() -> None:
    """One of them may be what takes its lane down every time; the others are not to fail with it."""
    queue = Queue({}, seats=2, idle_after_s=0.01)
    for key in ("poison", "fine"):
        await queue.submit(request(key))
    assert [await queue.take(seat) for seat in (0, 1)] == [taken("poison"), taken("fine")]
    await queue.lost(0, "killed")
    assert await queue.take(0) == taken("fine", attempt=2)
    assert not await queue.take(1), "nothing beside it"
    await queue.finish(0, end("fine"))
    for attempt in range(2, 2 + ATTEMPTS):  # the first was not held against it
        assert await queue.take(1) == taken("poison", attempt=attempt)
        await queue.lost(0, "killed")
    ends = {event["key"]: event["state"] for event in (await queue.poll())[0] if event["event"] == "end"}
    assert ends == {"fine": "finished", "poison": "failed"}


@in_a_loop
async def test_a_seat_that_tells_something_speaks_for_its_lane(clock: Clock) -> None:
    """The others wait for their turn."""
    queue = Queue({}, seats=2)
    await queue.join(0, 0, "here", 100, "worker")
    for seat, key in enumerate("ab"):
        await queue.submit(request(key))
        await queue.take(seat)
    clock.now += 9
    await queue.tick(0, {"key": "a", "position": 3}, [])
    clock.now += 9
    assert await queue.hanging(10, 50) == []
    clock.now += 2
    assert await queue.hanging(10, 50) == ["worker", "worker"]


@in_a_loop
async def test_a_lane_with_seats_is_called_for_as_many_runs() -> None:
    queue = Queue({}, seats=2, idle_after_s=60)
    first, second = (asyncio.ensure_future(queue.wanted(lane)) for lane in (0, 2))
    await asyncio.sleep(0)
    for key in "ab":
        await queue.submit(request(key))
    assert await first
    assert not second.done()
    await queue.submit(request("c"))
    assert await second
