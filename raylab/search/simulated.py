"""A study without training: a runner that replays what runs would do, on a virtual clock.

It is a raylab.search.study.Runner, so that exploration, race, verdict and caps are the study's own code, and a search of
hours is conducted in seconds: to compare samplers, schedulers and rules on recorded tables and curves, and to test them.
What a run would do is a `Course`; who proposes trials and who stops them on the way are the study's own sampler and
scheduler (raylab.cluster.simulation), or others. Lanes work side by side: what is proposed while runs are at work is
proposed without knowing how they end.

    clock = VirtualClock()
    ledger = Ledger(folder, clock)
    runner = SimulatedRunner(ledger, study, clock, course_of, proposer=proposer, lanes=8)
    verdict = conduct(Conduct(settings, space, data, study), contextlib.nullcontext(runner))

The approach is that of Syne Tune's simulator (Salinas et al. 2022, AutoML-Conf).
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raylab.search.ledger import ENDED, Ledger, Run, State, Study
from raylab.search.study import Conduct, Request

START = 1_700_000_000.0  # Unix time at which a virtual clock begins


class VirtualClock:
    """Seconds that pass only when something is simulated. Calling it gives the time, as time.time does."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What a run would do if nobody stopped it. seconds: how long it takes. rungs: its metrics at fractions of it, where the
    request asks for them. scores: by split and measure, one number a question."""

    seconds: float = 1.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    rungs: Mapping[float, Mapping[str, float]] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    state: State = "finished"
    error: str | None = None


class Proposer(Protocol):
    """Who proposes trials."""

    def ask(self) -> Request | None:
        """The next trial, or None if exploration is over, e.g. because a cap admits no more."""

    def tell(self, request: Request, run: Run) -> None:
        """How it ended."""


class Stopper(Protocol):
    """Who stops trials at rungs."""

    def goes_on(self, request: Request, fraction: float, objective: float) -> bool:
        """Whether a run goes on behind this rung. objective: less is better."""


class NeverStops:
    """Every run comes to its own end."""

    def goes_on(self, request: Request, fraction: float, objective: float) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Step:
    """The next thing that happens on a lane: a rung of its run, or the end. They are ordered by time, then by when the run
    began."""

    time: float
    number: int
    lane: int = field(compare=False)
    request: Request = field(compare=False)
    rest: tuple[tuple[float, dict[str, Any]], ...] = field(compare=False)

    def __lt__(self, other: "_Step") -> bool:
        return (self.time, self.number) < (other.time, other.number)


class SimulatedRunner:
    """Runs requests on `lanes` lanes of a virtual clock. course: what a run would do. seconds that nothing decides, such as
    the start of lanes, take no time."""

    def __init__(
        self, ledger: Ledger, study: Study, clock: VirtualClock, course: Callable[[Request], Course], *,
        proposer: Callable[[Conduct], Proposer], stopper: Callable[[Conduct], Stopper] = lambda conduct: NeverStops(),
        lanes: int = 1,
    ) -> None:  # fmt: skip
        self.ledger, self.study, self.clock, self.course = ledger, study, clock, course
        self.lanes, self._proposer, self._stopper = lanes, proposer, stopper
        self._begun = 0

    def explore(self, conduct: Conduct) -> None:
        """Let the proposer propose, and the stopper stop, the trials that are still due."""
        proposer, stopper = self._proposer(conduct), self._stopper(conduct)
        equal: dict[str, list[Request]] = {}  # proposed while the same recipe was at work

        def ended(request: Request) -> None:
            for one in (request, *equal.pop(request.key, [])):
                proposer.tell(one, self.study.runs[request.key])

        def goes_on(request: Request, fraction: float, metrics: dict[str, float]) -> bool:
            return stopper.goes_on(request, fraction, conduct.objective(metrics))

        asked = (proposer.ask() for _ in range(conduct.still_due()))
        self._work(self._new(asked, equal, ended), goes_on, ended)

    def run(self, requests: Sequence[Request]) -> None:
        """Run these, as far as they have not ended yet."""
        due = {r.key: r for r in requests if not self.study.has_ended(r.key)}
        self._work(iter(due.values()), lambda request, fraction, metrics: True, lambda request: None)

    def _new(
        self, asked: Iterable[Request | None], equal: dict[str, list[Request]], ended: Callable[[Request], None]
    ) -> Iterator[Request]:
        """The proposals up to None, without those that the ledger answers or that are at work: these are cached."""
        for request in asked:
            if request is None:
                return
            known = self.study.runs.get(request.key)
            if known is None or known.trial == request.trial:
                yield request
                continue
            self._tell("cached", key=request.key, trial=request.trial)
            if known.state in ENDED:
                ended(request)
            else:
                equal.setdefault(request.key, []).append(request)

    def _work(
        self, requests: Iterator[Request], goes_on: Callable[[Request, float, dict[str, float]], bool],
        ended: Callable[[Request], None],
    ) -> None:  # fmt: skip
        """Keep the lanes at work until there are no more requests. A request is asked for when a lane is free for it."""
        free, steps = list(range(self.lanes)), list[_Step]()
        while True:
            while free and (request := next(requests, None)) is not None:
                heapq.heappush(steps, self._begin(request, free.pop(0)))
            if not steps:
                return
            step = heapq.heappop(steps)
            self.clock.now = step.time
            following = self._happen(step, goes_on)
            if following is None:
                free.append(step.lane)
                ended(step.request)
            else:
                heapq.heappush(steps, following)

    def _begin(self, request: Request, lane: int) -> _Step:
        plain = request.plain()
        if request.key not in self.study.runs:
            self._tell("run", **{k: plain[k] for k in ("key", "role", "replicate", "trial", "recipe", "values", "label")})
        self._tell("start", key=request.key, lane=lane, attempt=1)
        self._begun += 1
        (first, _), *_ = events = _events(request, self.course(request), self.clock.now)
        return _Step(first, self._begun, lane, request, tuple(events))

    def _happen(self, step: _Step, goes_on: Callable[[Request, float, dict[str, float]], bool]) -> _Step | None:
        """Write what happens, and return what does next on that lane."""
        (_, event), *rest = step.rest
        self._tell(key=step.request.key, **event)
        if not rest:
            return None
        if event["event"] == "rung" and not goes_on(step.request, event["fraction"], event["metrics"]):
            self._tell("end", key=step.request.key, state="pruned", metrics={}, scores={}, seconds={}, error=None)
            return None
        return _Step(rest[0][0], step.number, step.lane, step.request, tuple(rest))

    def _tell(self, event: str, **fields: Any) -> None:
        self.study.apply(self.ledger.append(event, **fields))


def _events(request: Request, course: Course, now: float) -> list[tuple[float, dict[str, Any]]]:
    """What happens to a run that begins now, with the times: its rungs, then its end, which a cap's time may be."""
    finite = {name: value for name, value in course.metrics.items() if math.isfinite(value)}  # a ledger holds no others
    rungs = [
        (now + fraction * course.seconds, {"event": "rung", "fraction": fraction, "metrics": dict(course.rungs[fraction])})
        for fraction in sorted(course.rungs) if fraction in request.rungs
    ]  # fmt: skip
    end: dict[str, Any] = {
        "event": "end", "state": course.state, "metrics": finite, "error": course.error,
        "scores": {split: dict(rows) for split, rows in course.scores.items()}, "seconds": {"total": course.seconds},
    }  # fmt: skip
    events = [*rungs, (now + course.seconds, end)]
    if request.until is None or request.until >= events[-1][0]:
        return events
    until = max(now, request.until)
    stopped = {**end, "state": "stopped", "metrics": {}, "scores": {}, "seconds": {"total": until - now}, "error": None}
    return [*((time, event) for time, event in rungs if time <= until), (until, stopped)]
