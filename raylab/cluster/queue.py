"""The queue between those who ask for runs (Ray Tune's trials, the driver) and the lanes that run them.

It is one named actor of no CPU. It holds nothing that the ledger cannot rebuild: what ended before is told to it when
it starts, and all that happens goes to the driver as events for the ledger.

A request is identified by its run key; who asked holds a token. A run goes on past a rung when one holder allows it,
and stops there when all have let go. A stale token says nothing: with actor reuse Ray Tune releases late and twice.

Faults of the machines cost attempts, each told with its reason: a run whose lane was lost is the next that is taken
up, by whichever lane is free first, up to three attempts in all. A lane that was given more or fewer workers costs
none. What a recipe raises is its result and is never tried again.

Runs that begin with the same stages wait for the first of them, which leaves the model after those stages in the stage cache
(see raylab.training.stage_cache): a request carries the keys of its `stages`, and a lane tells when one of them is `staged`.

What is known of the lanes themselves stands in `raylab.cluster.roster`.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raylab.cluster.roster import Roster

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
    faults: int = 0  # of the attempts, those lost by a fault
    alone: bool = False  # it was lost together with others of its lane: nobody knows whose fault that was

    def waits(self) -> bool:
        """Does a lane wait for the decision at a rung?"""
        return self.decision is not None and not self.decision.done()

    def decide(self, go_on: bool) -> None:
        """Answer the lane that waits at a rung, if one does."""
        if self.decision is not None and not self.decision.done():
            self.decision.set_result(go_on)
            self.rung = None


class Queue:
    """The queue's logic; `raylab.cluster.lanes` makes it an actor.

    ended: the `end` events of the study so far, by run key. lost: how many attempts were lost by a fault, by run key.
    idle_after_s: how long a lane waits for a run before it gives its workers back; None: lanes stay up. seats: how many runs a
    lane runs at once; where a lane takes, tells or finishes a run, its number is that of one of its seats.
    """

    def __init__(
        self,
        ended: Mapping[str, Mapping[str, Any]],
        lost: Mapping[str, int] | None = None,
        idle_after_s: float | None = None,
        seats: int = 1,
    ) -> None:
        self._runs = {key: _Run(request={"key": key}, end=dict(end)) for key, end in ended.items()}
        self._lost = dict(lost or {})
        self._waiting: deque[str] = deque()
        self._training: dict[str, str] = {}  # by stage key: the run that trains this prefix, for all that wait for it
        self._arrived = asyncio.Event()
        self._lanes = Roster(idle_after_s, seats)
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
            run = self._runs[key] = _Run(request=request, attempts=lost, faults=lost)
            self._tell("run", **{k: request[k] for k in ("key", "role", "replicate", "trial", "recipe", "values", "label")})
            self._waiting.append(key)
            self._call()
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

    async def wanted(self, lane: int) -> bool:
        """Whether a lane is to be started: answers when runs wait for it, and False if there will be none."""
        self._lose_all(lane, "the keeper of the lanes was lost")
        if self._closed and not self._waiting:
            return False
        answer = self._lanes.sleep(lane)
        self._lanes.call(len(self._ready()))
        return await answer

    async def gathering(self, lane: int, controller: Any) -> None:
        """A lane's workers are being asked for. controller: a handle of who does it, for `hanging` to return."""
        at = self._lanes[lane]
        at.controller, at.gathering = controller, time.monotonic()

    async def gathered(self, lane: int, workers: list[Any]) -> None:
        """There was room for a lane's workers, and they are started. workers: their handles."""
        at = self._lanes[lane]
        at.workers, at.gathering = dict(enumerate(workers)), time.monotonic()

    async def placed(self, lane: int, room: Any) -> None:
        """A lane's workers stand in this placement group."""
        self._lanes[lane].room = room

    async def room(self, lane: int) -> Any:
        """The placement group in which a lane's workers stood last."""
        return self._lanes[lane].room

    async def join(self, lane: int, rank: int, host: str, pid: int, worker: Any) -> None:
        """A worker of a lane is up. worker: its handle, for `hanging` to return."""
        for seat in self._lanes.of(lane):
            seat.workers[rank] = worker
        self._tell("worker", lane=lane, rank=rank, host=host, pid=pid)

    async def take(self, lane: int) -> dict[str, Any] | None:
        """The next request for a lane, with the number of the `attempt`; None if there is none yet; an empty one if the
        lane is to end: there will be no more, or there was none for long enough."""
        at = self._lanes[lane]
        if at.key is not None:
            self._lose(lane, "the lane was lost")
        at.barren = 0
        at.rest()
        turn = at.turn
        if not self._ready_for(lane) and (self._waiting or not self._closed):
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), min(IDLE_S, self._lanes.idle_after_s or IDLE_S))
        if at.turn != turn:
            return None  # to nobody: its workers were lost meanwhile
        if ready := self._ready_for(lane):
            self._waiting.remove(ready[0])
            return self._start(lane, ready[0])
        if (self._closed and not self._waiting) or self._lanes.has_waited(lane):
            at.fall()
            return {}
        return None

    def _call(self) -> None:
        """A run has come to wait: wake the lanes that are up, and those that must come."""
        self._arrived.set()
        self._lanes.call(len(self._ready()))

    def _ready(self) -> list[str]:
        """The runs that wait for a lane alone, and not for a prefix that another run trains."""
        return [key for key in self._waiting if self._training.keys().isdisjoint(self._runs[key].request.get("stages", ()))]

    def _ready_for(self, seat: int) -> list[str]:
        """Of the runs that are ready, those that may run beside what the other seats of its lane are at."""
        beside = [self._runs[other.key] for other in self._lanes.beside(seat) if other.key is not None]
        if any(run.alone for run in beside):
            return []
        return [key for key in self._ready() if not (beside and self._runs[key].alone)]

    def _start(self, lane: int, key: str) -> dict[str, Any]:
        run = self._runs[key]
        run.decide(False)  # a lane that was lost at a rung asks there again
        run.attempts += 1
        self._lanes[lane].begin(key)
        self._training |= dict.fromkeys(run.request.get("stages", ()), key)
        if self._closed and not self._waiting:
            self._lanes.dismiss()
        self._tell("start", key=key, lane=lane, attempt=run.attempts)
        until = run.request.get("until")  # Unix time: told as seconds, so that the clocks of other machines do not matter
        return {**run.request, "attempt": run.attempts, "left_s": None if until is None else until - time.time()}

    async def tick(self, lane: int, live: dict[str, Any], points: list[dict[str, Any]]) -> None:
        """How far a lane is, and the curve's points since the last tick."""
        at = self._lanes[lane]
        if at.key == live["key"] and at.heard is not None:
            at.live = live
            self._lanes.heard_of(lane)
        if points:
            self._tell("curve", key=live["key"], points=points)

    async def restored(self, key: str, attempt: int, position: int) -> None:
        """A run goes on from a checkpoint, or from its start again: `position` steps are behind it."""
        self._tell("restored", key=key, attempt=attempt, position=position)

    async def staged(self, stage: str) -> None:
        """A prefix of stages is done, and in the cache if it could be kept: nobody need wait for it."""
        self._training.pop(stage, None)
        self._call()

    def _let_go(self, key: str) -> None:
        """A run trains nothing any more that others wait for."""
        for stage in [stage for stage, run in self._training.items() if run == key]:
            del self._training[stage]

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
        for at in self._lanes:
            if at.key == key:
                at.heard = time.monotonic()  # it could not tell anything while it waited
        return decision

    async def meet(self, lane: int, attempt: int, rank: int, world: int, end: dict[str, Any]) -> dict[str, Any] | None:
        """Every worker of a lane tells how the run ended for it, and waits for the others. Returns how it ended.

        None if the others do not come to a worker that raised: the run has failed with its error, and they wait in an
        operation that it never joined, so that the lane's workers have to be started anew.
        """
        at = self._lanes[lane]
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
        self._lanes[lane].rest()
        self._end(end)

    def _end(self, end: dict[str, Any]) -> None:
        run = self._runs[end["key"]]
        self._let_go(end["key"])
        if self._waiting:
            self._call()
        if run.end is None:
            run.end = {"event": "end", **end}
            self._tell(**run.end)
            for feed in run.feeds.values():
                feed.put_nowait(run.end)

    async def lost(self, lane: int, reason: str, fault: bool = True) -> bool:
        """A lane's workers are gone. fault: False if their machine was taken away as it had been announced. False is
        answered if it should not be started again: it never gets as far as to ask for a run."""
        at = self._lanes[lane]
        self._lose_all(lane, reason, fault)
        for seat in self._lanes.of(lane):
            seat.fall()
        at.barren += fault
        return at.barren < ATTEMPTS

    async def resized(self, lane: int, workers: int) -> None:
        """A lane is started anew with so many workers."""
        self._lose_all(lane, f"the lane is resized to {workers} worker{'s' * (workers > 1)}", fault=False)
        self._lanes[lane].fall("called")

    def _lose_all(self, lane: int, reason: str, fault: bool = True) -> None:
        """The attempts of all its seats have come to nothing. If there were several, each is tried once more without its being
        held against the run, alone."""
        busy = [(number, seat, seat.key) for number, seat in enumerate(self._lanes.of(lane), lane) if seat.key is not None]
        for number, seat, key in busy:
            self._runs[key].alone |= len(busy) > 1
            self._lose(number, seat.given_up or reason, fault and len(busy) == 1)

    def _lose(self, lane: int, reason: str, fault: bool = True) -> None:
        """An attempt has come to nothing. The run is the next to be taken up, unless that was its last attempt."""
        at = self._lanes[lane]
        assert at.key is not None
        key, run = at.key, self._runs[at.key]
        position = at.live.get("position", 0)
        self._tell("lost", key=key, lane=lane, attempt=run.attempts, position=position, reason=reason, fault=fault)
        run.faults += fault
        self._let_go(key)
        at.fall()
        if run.faults >= ATTEMPTS:
            error = f"infrastructure: the lane was lost {ATTEMPTS} times while it ran this recipe; the last time: {reason}"
            self._end({"key": key, "state": "failed", "metrics": {}, "scores": {}, "seconds": {}, "error": error})
        else:
            self._waiting.appendleft(key)
            self._call()

    # --- the driver ---------------------------------------------------------------------------------------------

    async def poll(self) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
        """The events since the last call, and by lane what it is at (see Roster.live)."""
        events, self._events = self._events, []
        return events, self._lanes.live()

    async def hanging(self, limit_s: float, start_limit_s: float) -> list[Any]:
        """What is to be killed of lanes whose workers have told nothing for so long, or are not up so long after there
        was room for them. A lane that waits for a decision at a rung does not hang, nor one that waits for room."""
        asked = [at for at in self._lanes if at.key is None or not self._runs[at.key].waits()]
        return [handle for at in asked for handle in at.give_up(limit_s, start_limit_s)]

    async def close(self) -> None:
        """No more runs: lanes that have nothing to do end."""
        self._closed = True
        self._arrived.set()
        if not self._waiting:
            self._lanes.dismiss()

    def _tell(self, event: str, **fields: Any) -> None:
        self._events.append({"event": event, **fields})
