"""The queue between those who ask for runs (Ray Tune's trials, the driver) and the lanes that run them.

It is one named actor of no CPU. It holds nothing that the ledger cannot rebuild: what ended before is told to it when
it starts, and all that happens goes to the driver as events for the ledger.

A request is identified by its run key; who asked holds a token. A run goes on past a rung when one holder allows it,
and stops there when all have let go. A stale token says nothing: with actor reuse Ray Tune releases late and twice.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ATTEMPTS = 3  # then a recipe that takes its lane down every time is recorded as failed
IDLE_S = 5.0  # a lane that waits is answered "nothing yet" this often, or its process group would time out


@dataclass(kw_only=True, slots=True)
class _Run:
    request: dict[str, Any]
    feeds: dict[int, "asyncio.Queue[dict[str, Any]]"] = field(default_factory=dict)  # by token
    rung: dict[str, Any] | None = None  # where it waits for the decision to go on
    decision: "asyncio.Future[bool] | None" = None
    end: dict[str, Any] | None = None
    attempts: int = 0

    def decide(self, go_on: bool) -> None:
        """Answer the lane that waits at a rung, if one does."""
        if self.decision is not None and not self.decision.done():
            self.decision.set_result(go_on)
            self.rung = None


class Queue:
    """The queue's logic; `raylab.cluster.lanes` makes it an actor.

    ended: the `end` events of the study so far, by run key.
    """

    def __init__(self, ended: Mapping[str, Mapping[str, Any]]) -> None:
        self._runs = {key: _Run(request={"key": key}, end=dict(end)) for key, end in ended.items()}
        self._waiting: deque[str] = deque()
        self._arrived = asyncio.Event()
        self._on_lane: dict[int, str] = {}
        self._live: dict[int, dict[str, Any]] = {}
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
            run = self._runs[key] = _Run(request=request)
            self._tell("run", **{k: request[k] for k in ("key", "role", "replicate", "trial", "recipe", "values", "label")})
            self._waiting.append(key)
            self._arrived.set()
        else:
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

    async def take(self, lane: int) -> dict[str, Any] | None:
        """The next request for a lane: the one it was at, if it was lost there; None if there is none yet; an empty
        one if there will be none."""
        if lane in self._on_lane:
            return await self._again(lane)
        if not self._waiting and not self._closed:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), IDLE_S)
            except TimeoutError:
                return None
        if not self._waiting:
            return {} if self._closed else None
        return self._start(lane, self._waiting.popleft())

    def _start(self, lane: int, key: str) -> dict[str, Any]:
        run = self._runs[key]
        run.decide(False)  # a lane that was lost at a rung asks there again
        run.attempts += 1
        self._on_lane[lane] = key
        self._tell("start", key=key, lane=lane, attempt=run.attempts)
        return run.request

    async def _again(self, lane: int) -> dict[str, Any] | None:
        key = self._on_lane[lane]
        if self._runs[key].attempts < ATTEMPTS:
            return self._start(lane, key)
        reason = f"infrastructure: the lane was lost {ATTEMPTS} times while it ran this recipe"
        await self.finish(lane, {"key": key, "state": "failed", "metrics": {}, "scores": {}, "seconds": {}, "error": reason})
        return None

    async def tick(self, lane: int, live: dict[str, Any], points: list[dict[str, Any]]) -> None:
        """How far a lane is, and the curve's points since the last tick."""
        self._live[lane] = live
        if points:
            self._tell("curve", key=live["key"], points=points)

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
        return await run.decision

    async def finish(self, lane: int, end: dict[str, Any]) -> None:
        """Report the end of the lane's run; a second report of the same run is ignored."""
        run = self._runs[end["key"]]
        self._on_lane.pop(lane, None)
        self._live.pop(lane, None)
        if run.end is None:
            run.end = {"event": "end", **end}
            self._tell(**run.end)
            for feed in run.feeds.values():
                feed.put_nowait(run.end)

    # --- the driver ---------------------------------------------------------------------------------------------

    async def poll(self) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
        """The events since the last call, and what each lane is at."""
        events, self._events = self._events, []
        return events, dict(self._live)

    async def close(self) -> None:
        """No more runs: lanes that have nothing to do end."""
        self._closed = True
        self._arrived.set()

    def _tell(self, event: str, **fields: Any) -> None:
        self._events.append({"event": event, **fields})
