"""The queue between those who ask for runs (Ray Tune's trials, the driver) and the lanes that run them.

It is one named actor of no CPU. It holds nothing that the ledger cannot rebuild: what ended before is told to it when
it starts, and all that happens goes to the driver as events for the ledger.

A request is identified by its run key; who asked holds a token. A run goes on past a rung when one holder allows it,
and stops there when all have let go. A stale token says nothing: with actor reuse Ray Tune releases late and twice.

Faults of the machines cost attempts, each told with its reason: a run whose lane was lost is taken up again by that
lane, up to three attempts in all. What a recipe raises is its result and is never tried again.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ATTEMPTS = 3  # then a recipe that takes its lane down every time is recorded as failed
# A worker that raised alone waits so long for the others. If one of them was killed, and it raised for that, the whole
# group is gone before; if not, they wait for it in an operation that it never joined, and the error is the recipe's.
PATIENCE_S = 30.0
IDLE_S = 5.0  # a lane that waits is answered "nothing yet" this often, or its process group would time out


@dataclass(kw_only=True, slots=True)
class _Run:
    request: dict[str, Any]
    feeds: dict[int, "asyncio.Queue[dict[str, Any]]"] = field(default_factory=dict)  # by token
    rung: dict[str, Any] | None = None  # where it waits for the decision to go on
    decision: "asyncio.Future[bool] | None" = None
    end: dict[str, Any] | None = None
    attempts: int = 0
    lost: int = 0  # of the attempts

    def waits(self) -> bool:
        """Does a lane wait for the decision at a rung?"""
        return self.decision is not None and not self.decision.done()

    def decide(self, go_on: bool) -> None:
        """Answer the lane that waits at a rung, if one does."""
        if self.decision is not None and not self.decision.done():
            self.decision.set_result(go_on)
            self.rung = None


@dataclass(kw_only=True, slots=True)
class _Lane:
    """What is known of a lane, from one start of its workers to the next."""

    key: str | None = None  # of the run it is at
    live: dict[str, Any] = field(default_factory=dict)  # how far that is
    heard: float | None = None  # when it last told anything of that run; None while it has none, or is being restarted
    workers: dict[int, Any] = field(default_factory=dict)  # handles, by rank
    given_up: str = ""  # why its workers are being killed
    meeting: "_Meeting | None" = None


@dataclass(kw_only=True, slots=True)
class _Meeting:
    """The workers of a lane at the end of a run: how it ended for each, by rank."""

    ends: dict[int, dict[str, Any]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> dict[str, Any]:
        """How it ended: with the error of the lowest rank that has one."""
        ends = [self.ends[rank] for rank in sorted(self.ends)]
        return next((end for end in ends if end["error"]), ends[0])


class Queue:
    """The queue's logic; `raylab.cluster.lanes` makes it an actor.

    ended: the `end` events of the study so far, by run key. lost: how many attempts were lost, by run key.
    """

    def __init__(self, ended: Mapping[str, Mapping[str, Any]], lost: Mapping[str, int] | None = None) -> None:
        self._runs = {key: _Run(request={"key": key}, end=dict(end)) for key, end in ended.items()}
        self._lost = dict(lost or {})
        self._waiting: deque[str] = deque()
        self._arrived = asyncio.Event()
        self._lanes: dict[int, _Lane] = {}
        self._barren: Counter[int] = Counter()  # times in a row that a lane was lost before it asked for anything
        self._events: list[dict[str, Any]] = []
        self._tokens = 0
        self._closed = False

    # --- who asks -----------------------------------------------------------------------------------------------

    async def submit(self, request: dict[str, Any]) -> int:
        """Ask for a run, or for the results of the run that has this key already. Returns the token to ask with."""
        key = request["key"]
        self._tokens += 1
        run = self._runs.get(key)
        if run is None:
            lost = self._lost.get(key, 0)
            run = self._runs[key] = _Run(request=request, attempts=lost, lost=lost)
            self._tell("run", **{k: request[k] for k in ("key", "role", "replicate", "trial", "recipe", "values", "label")})
            self._waiting.append(key)
            self._arrived.set()
        elif request["trial"] != run.request.get("trial"):  # a trial that lost its own process asks again
            self._tell("cached", key=key, trial=request["trial"])
        run.feeds[self._tokens] = asyncio.Queue()
        if (now := run.end or run.rung) is not None:
            run.feeds[self._tokens].put_nowait(now)
        return self._tokens

    async def progress(self, key: str, token: int) -> dict[str, Any]:
        """The next rung or the end of a run, as its event; waits for it."""
        return await self._runs[key].feeds[token].get()

    async def allow(self, key: str, token: int) -> None:
        """Let the run pass the rung at which it waits."""
        run = self._runs[key]
        if token in run.feeds:
            run.decide(True)

    async def release(self, key: str, token: int) -> None:
        """Give a token back. The run stops at its rung if nobody else wants it."""
        run = self._runs[key]
        if run.feeds.pop(token, None) is not None and not run.feeds:
            run.decide(False)

    # --- lanes --------------------------------------------------------------------------------------------------

    async def join(self, lane: int, rank: int, host: str, pid: int, worker: Any) -> None:
        """A worker of a lane is up. worker: its handle, for `hanging` to return."""
        self._lane(lane).workers[rank] = worker
        self._tell("worker", lane=lane, rank=rank, host=host, pid=pid)

    async def take(self, lane: int) -> dict[str, Any] | None:
        """The next request for a lane, with the number of the `attempt`: the one it was at, if it was lost there; None
        if there is none yet; an empty one if there will be none."""
        self._barren[lane] = 0
        if (key := self._lane(lane).key) is not None:
            if self._runs[key].lost < self._runs[key].attempts:
                await self._lose(lane, "the lane was lost")
            if self._lane(lane).key == key:
                return self._start(lane, key)
        if not self._waiting and not self._closed:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), IDLE_S)
            except TimeoutError:
                return None
        if not self._waiting:
            return {} if self._closed else None
        return self._start(lane, self._waiting.popleft())

    def _lane(self, lane: int) -> _Lane:
        return self._lanes.setdefault(lane, _Lane())

    def _start(self, lane: int, key: str) -> dict[str, Any]:
        run, at = self._runs[key], self._lane(lane)
        run.decide(False)  # a lane that was lost at a rung asks there again
        run.attempts += 1
        at.key, at.live, at.heard, at.meeting = key, {}, time.monotonic(), _Meeting()
        self._tell("start", key=key, lane=lane, attempt=run.attempts)
        return {**run.request, "attempt": run.attempts}

    async def tick(self, lane: int, live: dict[str, Any], points: list[dict[str, Any]]) -> None:
        """How far a lane is, and the curve's points since the last tick."""
        at = self._lane(lane)
        if at.key == live["key"] and at.heard is not None:
            at.live, at.heard = live, time.monotonic()
        if points:
            self._tell("curve", key=live["key"], points=points)

    async def restored(self, key: str, attempt: int, position: int) -> None:
        """A run goes on from a checkpoint, or from its start again: `position` steps are behind it."""
        self._tell("restored", key=key, attempt=attempt, position=position)

    async def notice(self, key: str, text: str) -> None:
        """Something a person should know of a run that goes on all the same."""
        self._tell("notice", key=key, text=text)

    async def rung(self, key: str, fraction: float, metrics: dict[str, float]) -> bool:
        """Report a rung and wait for the decision to go on."""
        run = self._runs[key]
        self._tell("rung", key=key, fraction=fraction, metrics=metrics)
        if not run.feeds:
            return False
        run.rung = {"event": "rung", "key": key, "fraction": fraction, "metrics": metrics}
        run.decision = asyncio.get_running_loop().create_future()
        for feed in run.feeds.values():
            feed.put_nowait(run.rung)
        decision = await run.decision
        for at in self._lanes.values():
            if at.key == key:
                at.heard = time.monotonic()  # it could not tell anything while it waited
        return decision

    async def meet(self, lane: int, attempt: int, rank: int, world: int, end: dict[str, Any]) -> dict[str, Any] | None:
        """Every worker of a lane tells how the run ended for it, and waits for the others. Returns how it ended.

        None if the others do not come to a worker that raised: the run has failed with its error, and they wait in an
        operation that it never joined, so that the lane's workers have to be started anew.
        """
        at = self._lane(lane)
        meeting = at.meeting
        if meeting is None or at.key != end["key"] or self._runs[end["key"]].attempts != attempt:
            return None  # the lane was given up
        meeting.ends[rank] = end
        if len(meeting.ends) == world:
            meeting.over.set()
        try:
            await asyncio.wait_for(meeting.over.wait(), PATIENCE_S if end["error"] else None)
        except TimeoutError:
            if at.meeting is meeting:
                await self.finish(lane, meeting.end())
            return None
        return meeting.end()

    async def finish(self, lane: int, end: dict[str, Any]) -> None:
        """Report the end of the lane's run; a second report of the same run is ignored."""
        run, at = self._runs[end["key"]], self._lane(lane)
        at.key, at.live, at.heard = None, {}, None
        if run.end is None:
            run.end = {"event": "end", **end}
            self._tell(**run.end)
            for feed in run.feeds.values():
                feed.put_nowait(run.end)

    async def lost(self, lane: int, reason: str) -> bool:
        """A lane's workers are gone. False if it should not be started again: it never gets as far as to ask for a run."""
        at = self._lane(lane)
        at.workers, at.meeting, at.heard = {}, None, None
        if at.key is not None:
            await self._lose(lane, at.given_up or reason)
        at.given_up = ""
        self._barren[lane] += 1
        return self._barren[lane] < ATTEMPTS

    async def _lose(self, lane: int, reason: str) -> None:
        """An attempt has come to nothing. The lane keeps its run, unless that was the last one."""
        at = self._lane(lane)
        assert at.key is not None
        run = self._runs[at.key]
        run.lost = run.attempts
        self._tell("lost", key=at.key, lane=lane, attempt=run.attempts, position=at.live.get("position", 0), reason=reason)
        if run.attempts >= ATTEMPTS:
            error = f"infrastructure: the lane was lost {ATTEMPTS} times while it ran this recipe; the last time: {reason}"
            end = {"key": at.key, "state": "failed", "metrics": {}, "scores": {}, "seconds": {}, "error": error}
            await self.finish(lane, end)

    # --- the driver ---------------------------------------------------------------------------------------------

    async def poll(self) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
        """The events since the last call, and what each lane is at."""
        events, self._events = self._events, []
        return events, {lane: at.live for lane, at in self._lanes.items() if at.live}

    async def hanging(self, limit_s: float) -> list[Any]:
        """The workers of lanes that have told nothing of their run for so long, to be killed. One that waits for a
        decision at a rung does not hang."""
        workers: list[Any] = []
        for at in self._lanes.values():
            silent_s = time.monotonic() - at.heard if at.heard is not None else 0.0
            if at.key is not None and silent_s > limit_s and not self._runs[at.key].waits():
                at.given_up, at.heard = f"it hung: its workers told nothing for {silent_s:.0f} s and were killed", None
                workers.extend(at.workers.values())
        return workers

    async def close(self) -> None:
        """No more runs: lanes that have nothing to do end."""
        self._closed = True
        self._arrived.set()

    def _tell(self, event: str, **fields: Any) -> None:
        self._events.append({"event": event, **fields})
