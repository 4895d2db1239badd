"""The ledger: a study's append-only `ledger.jsonl`, the truth from which resume, MLflow, report and verdict are read.

The driver alone writes it, one JSON object a line, each with `event` and `time` (Unix seconds). Events:

    study    name, settings, data, environment           the first line; parent, if it continues another
                                                          (raylab.search.lineage)
    taken    run, origin                                  a run that the study `origin` ran already, as it ended there
    prior    study, similarity, choices                   what an earlier study gives it to try first (raylab.search.prior)
    plan     plan                                         what it was predicted to cost (raylab.search.plan)
    limits   caps, price, devices                         what it may cost, from here on (raylab.search.caps)
    run      key, role, replicate, trial, recipe, values  a run was asked for
    worker   lane, rank, host, pid                        a lane's worker is up
    start    key, lane, attempt                           a lane took it up (again)
    restored key, attempt, position                       training went on behind so many steps of the run
    lost     key, lane, attempt, position, reason, fault  the lane was lost; position: steps done when last heard of;
                                                          fault: it counts, unlike a lane that was given other workers
    notice   key, text                                    something to know of a run that goes on, e.g. no checkpoint
    curve    key, points=[{step, time, loss, ...}]        what training printed, several points a line
    rung     key, fraction, metrics                       a score on the way
    end      key, state, metrics, scores, seconds,        the run is over, in a true state
             memory, error
    cached   key, trial                                   a trial proposed a recipe that had run already
    capped   phase, reason                                a cap ended exploration, selection or the verdict early
    interrupted                                           the driver stopped
    resumed  commit                                       it went on: runs that a cap stopped are due again
    verdict  verdict                                      the decision

`Study.read` folds the lines into one object; a torn last line (the driver was killed while writing) is ignored.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from raylab.errors import Halted, UserError

State = Literal["waiting", "running", "finished", "pruned", "diverged", "failed", "stopped"]
FINAL: tuple[State, ...] = ("finished", "pruned", "diverged", "failed")
ENDED: tuple[State, ...] = (*FINAL, "stopped")  # by a cap: it may go on from its checkpoint when the study is resumed
OUT_OF_MEMORY = "out_of_memory"  # begins the error of a run that did not fit
FILE = "ledger.jsonl"


@dataclass(kw_only=True, slots=True)
class Run:
    """One run as the ledger tells it.

    role: explore, race, confirm (the winner on fresh seeds), baseline (what it is compared with), or learn (a masking policy
    was learned: raylab.search.learning). trial: the number of
    the trial that asked for it first. recipe: JSON form. values: what the space drew, by name. metrics: the last
    known, e.g. dev_bits_per_answer, dev_exact_match, dev_f1, test_*, tokens, target_tokens, flops. scores: by split
    and measure, one number a question, in the order of the split. seconds: by part, and `total`. memory: the most bytes that
    a worker held, by place (`host`, `gpu`). losses: the `lost`
    events of its attempts. notices: what there was to know on the way. origin: the study that ran it, if this one took it
    over.
    """

    key: str
    role: str
    replicate: int
    trial: int | None
    recipe: dict[str, Any]
    values: dict[str, Any]
    label: str = ""
    state: State = "waiting"
    asked: float = 0.0
    started: float | None = None
    ended: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    rungs: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    losses: list[dict[str, Any]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    origin: str = ""


@dataclass(kw_only=True, slots=True)
class Study:
    """A study as its ledger tells it. `cached` are the trials answered by a run that stood already. parent: the study that
    it continues. priors: the `prior` events. limits: the last `limits` event. capped: by phase, why it ended early.
    worked_s: time in which a driver was at work; device_s and usd: times the devices it held, and their price."""

    name: str
    settings: dict[str, Any]
    data: dict[str, Any]
    environment: dict[str, Any]
    created: float
    runs: dict[str, Run] = field(default_factory=dict)
    cached: list[dict[str, Any]] = field(default_factory=list)
    verdict: dict[str, Any] | None = None
    updated: float = 0.0
    parent: dict[str, Any] | None = None
    priors: list[dict[str, Any]] = field(default_factory=list)
    plan: dict[str, Any] | None = None
    limits: dict[str, Any] = field(default_factory=dict)
    capped: dict[str, str] = field(default_factory=dict)
    worked_s: float = 0.0
    device_s: float = 0.0
    usd: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """The study in `folder`. Raises UserError if there is no ledger or its first line is not a study."""
        return cls.of(read_events(folder / FILE))

    @classmethod
    def of(cls, events: Iterable[Mapping[str, Any]]) -> "Study":
        """Fold the events of a ledger."""
        study: Study | None = None
        for event in events:
            if event["event"] == "study":
                study = cls(
                    name=event["name"], settings=event["settings"], data=event["data"],
                    environment=event["environment"], created=event["time"], updated=event["time"],
                    parent=event.get("parent"),
                )  # fmt: skip
            elif study is None:
                raise UserError("the ledger does not begin with its study; it is not a raylab ledger.")
            else:
                study.apply(event)
        if study is None:
            raise UserError("the ledger is empty: the study stopped before it began. Start it again under another name.")
        return study

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one more event."""
        kind = event["event"]
        self._pass(0.0 if kind == "resumed" else event["time"] - self.updated)
        self.updated = event["time"]
        if kind == "run" and event["key"] not in self.runs:
            names = ("key", "role", "replicate", "trial", "recipe", "values", "label")
            self.runs[event["key"]] = Run(**{n: event[n] for n in names}, asked=event["time"])
        elif kind == "taken":
            self.runs[event["run"]["key"]] = Run(**event["run"], origin=event["origin"])
        elif kind == "prior":
            self.priors.append({name: event[name] for name in ("study", "similarity", "choices")})
        elif kind == "cached":
            if all(event["trial"] != row["trial"] for row in self.cached):  # a trial whose own process was lost asks again
                self.cached.append(dict(event))
        elif kind == "verdict":
            self.verdict = event["verdict"]
        elif kind == "plan":
            self.plan = event["plan"]
        elif kind == "limits":
            self.limits = {name: event[name] for name in ("caps", "price", "devices")}
        elif kind == "capped":
            self.capped[event["phase"]] = event["reason"]
        elif kind == "resumed":
            self._go_on(event.get("commit", ""))
        elif "key" in event and event["key"] in self.runs:
            _apply_to_run(self.runs[event["key"]], event)

    def _pass(self, seconds: float) -> None:
        """Time that a driver was at work, on the devices that it held."""
        if self.updated:  # a study in memory alone has no clock yet
            device_s = max(0.0, seconds) * self.limits.get("devices", 0.0)
            self.worked_s += max(0.0, seconds)
            self.device_s += device_s
            self.usd += device_s / 3600 * (self.limits.get("price") or 0.0)

    def _go_on(self, commit: str) -> None:
        """The driver is back, and may have been given more room; what it runs from here on may be of another commit."""
        self.capped = {}
        before = self.environment.get("commit", "")
        if commit and not before.endswith(commit):
            self.environment = {**self.environment, "commit": ", resumed at ".join(filter(None, (before, commit)))}
        for run in self.runs.values():
            if run.state == "stopped":
                run.state, run.ended, run.error = "waiting", None, None

    def of_role(self, *roles: str) -> list[Run]:
        """The runs of these roles, in the order they were asked for."""
        return [run for run in self.runs.values() if run.role in roles]

    def has_ended(self, key: str) -> bool:
        """Whether this run was asked for and is over."""
        run = self.runs.get(key)
        return run is not None and run.state in ENDED

    def counts(self) -> dict[str, int]:
        """Exploration's trials by state, cached ones beside them."""
        counts: dict[str, int] = dict.fromkeys(("finished", "pruned", "failed", "diverged"), 0)
        for run in self.of_role("explore"):
            if run.state in counts or run.state == "stopped":
                counts[run.state] = counts.get(run.state, 0) + 1
        return {**counts, "cached": len(self.cached)}


def _apply_to_run(run: Run, event: Mapping[str, Any]) -> None:
    kind = event["event"]
    if kind == "start":
        run.state, run.started = "running", run.started or event["time"]
    elif kind == "curve":
        known = run.curve[-1]["step"] if run.curve else -1  # a resumed run repeats points since its checkpoint
        run.curve.extend(p for p in event["points"] if p["step"] > known)
    elif kind == "rung":
        run.rungs = [r for r in run.rungs if r["fraction"] != event["fraction"]]  # a resumed run may pass it again
        run.rungs.append({"fraction": event["fraction"], "metrics": event["metrics"], "time": event["time"]})
        run.metrics.update(event["metrics"])
    elif kind == "lost":
        told = {name: event[name] for name in ("time", "lane", "attempt", "position", "reason")}
        run.losses.append({**told, "fault": event.get("fault", True)})
    elif kind == "notice":
        run.notices.append(event["text"])
    elif kind == "end":
        run.state, run.ended, run.error = event["state"], event["time"], event.get("error")
        run.metrics.update(event.get("metrics", {}))
        run.scores, run.seconds, run.memory = (event.get(name, {}) for name in ("scores", "seconds", "memory"))


def infeasible(state: str, error: str | None) -> bool:
    """Whether a run ended as its recipe always would here: it diverged, or does not fit. What failed otherwise, a lost
    machine among it, says nothing of a recipe."""
    return state == "diverged" or (state == "failed" and (error or "").startswith(OUT_OF_MEMORY))


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a ledger file, without a torn last line."""
    if not path.is_file():
        raise UserError(f"no study at {path.parent}: {path.name} is missing. `raylab list` shows the studies there are.")
    lines = path.read_bytes().split(b"\n")
    events = []
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline was never finished
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise UserError(f"{path}, line {number} is not JSON ({error}); the ledger was changed by hand.") from error
    return events


class Ledger:
    """The one writer of a study's ledger. Every method raises Halted where the disk takes no more; what the ledger held before
    it then still holds, in whole lines. clock: Unix time; a simulated study has its own."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = folder / FILE, clock
        self._drop_torn_line()
        with self._told():
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 (it stays open as long as the study runs)
        self._size = self._file.tell()

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write one event and return it. It is on disk when this returns, unless the machine itself dies."""
        row = {"event": event, "time": round(self._clock(), 3), **fields}
        line = (json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n").encode()
        with self._told():
            self._write(line)
            if event in ("end", "verdict"):
                os.fsync(self._file.fileno())
        return row

    def close(self) -> None:
        self._file.close()

    def _write(self, line: bytes) -> None:
        """All of the line, or nothing of it: a disk that fills up takes the beginning."""
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError:
            os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(line)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Halted(f"{self.path} cannot be written: {error.strerror}.") from error

    def _drop_torn_line(self) -> None:
        if self.path.is_file():
            whole = len(whole_lines(self.path))
            if whole < self.path.stat().st_size:
                os.truncate(self.path, whole)


def whole_lines(path: Path) -> bytes:
    """The lines of a ledger that have ended; empty if there is none."""
    with contextlib.suppress(FileNotFoundError):
        content = path.read_bytes()
        return content[: content.rfind(b"\n") + 1]
    return b""
