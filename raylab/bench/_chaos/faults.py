"""The ways to harm a search, and on what: only processes that this bench started are ever touched."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]

from raylab.bench._chaos.nodes import Nodes
from raylab.bench._chaos.search import Search

SPARED = 2  # a run that lost so many attempts is left alone: a third would fail it, as it should
STUCK_S = 1200.0  # on a busy machine a search may take minutes to start
POLL_S = 0.2
FULL_BYTES = 200_000  # no file may grow beyond it while the disk is "full": smaller than a checkpoint, larger than a log
FULL_S = 15.0
SERVER_AWAY_S = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A run that trains on a lane, and the lane's workers."""

    lane: int
    key: str
    attempt: int
    pids: tuple[int, ...]


def targets(events: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The lanes that train, of runs that can lose another attempt, as the ledger tells them."""
    at: dict[int, tuple[str, int]] = {}
    workers: dict[int, dict[int, int]] = {}
    trains: set[tuple[str, int]] = set()
    for event in events:
        match event["event"]:
            case "resumed":
                at, workers, trains = {}, {}, set()
            case "worker":
                workers.setdefault(event["lane"], {})[event["rank"]] = event["pid"]
            case "start":
                at[event["lane"]] = (event["key"], event["attempt"])
            case "curve":
                trains |= {place for place in at.values() if place[0] == event["key"]}
            case "lost" | "end":
                at = {lane: place for lane, place in at.items() if place[0] != event["key"]}
    return [
        Target(lane=lane, key=key, attempt=attempt, pids=tuple(workers[lane].values()))
        for lane, (key, attempt) in at.items()
        if (key, attempt) in trains and attempt <= SPARED
    ]


class Harm:
    """Harms a search, kind after kind, each time a lane that trains; or what all of them stand on."""

    def __init__(self, search: Search, nodes: Nodes, server: Any, chance: random.Random) -> None:
        self.search, self.nodes, self.server, self.chance = search, nodes, server, chance
        self.done: Counter[str] = Counter()
        self._spent: set[tuple[int, str, int]] = set()  # what was harmed already, by driver, run and attempt
        self._drivers = 1

    def run(self, kinds: Sequence[str]) -> None:
        """Do all of these, as long as the search goes on, and let it come to its end."""
        self.search.start()
        try:
            for kind in kinds:
                self.done[kind] += self._do(kind)
            self.search.wait()
        finally:
            self.search.kill()

    def _do(self, kind: str) -> bool:
        """One harm, on as many targets as it takes until it has done some. False if the search is over before."""
        while (target := self._next()) is not None:
            if KINDS[kind](self, target):
                if kind in HITS_A_LANE:
                    self._spent.add((self._drivers, target.key, target.attempt))
                return True
            time.sleep(POLL_S)
        return False

    def _next(self) -> Target | None:
        """A lane that trains and was not harmed in this attempt; None when the search is over."""
        began = time.monotonic()
        while self.search.goes_on():
            fresh = [t for t in targets(self.search.events()) if (self._drivers, t.key, t.attempt) not in self._spent]
            if fresh:
                return self.chance.choice(fresh)
            if time.monotonic() - began > STUCK_S:
                raise RuntimeError(f"no lane trains for {STUCK_S:.0f} s: {self.search.last_words()}")
            time.sleep(POLL_S)
        return None

    def worker(self, target: Target) -> bool:
        """SIGKILL of a lane's workers while they train."""
        return send(target.pids, signal.SIGKILL)

    def lane(self, target: Target) -> bool:
        """SIGKILL of the workers and of Ray Train's controller, which gathered them."""
        controllers = [process.pid for process in _ours() if _title(process).startswith("ray::TrainController")]
        of_this = [pid for pid in controllers if _talk(pid, target.pids)]
        return bool(of_this) and send([*of_this, *target.pids], signal.SIGKILL)

    def hang(self, target: Target) -> bool:
        """SIGSTOP: the workers stay there and do nothing."""
        return send(target.pids, signal.SIGSTOP)

    def checkpoint(self, target: Target) -> bool:
        """SIGKILL of the workers, whose newest checkpoint was cut short. There must be one before it."""
        send(target.pids, signal.SIGSTOP)  # they must not write another one meanwhile
        found = sorted((self.search.ledger.parent / "runs" / target.key).glob("step_*/model.safetensors"))
        if len(found) < 2:
            send(target.pids, signal.SIGCONT)
            return False
        os.truncate(found[-1], found[-1].stat().st_size // 2)
        return send(target.pids, signal.SIGKILL)

    def disk(self, target: Target) -> bool:
        """The workers' disk is full: the system refuses what they write, until they have said so."""
        known = _notices(self.search.events(), target.key)
        until = time.monotonic() + FULL_S
        with _full(target.pids):
            while time.monotonic() < until and target in targets(events := self.search.events()):
                if _notices(events, target.key) > known:
                    return True
                time.sleep(POLL_S)
        return False

    def driver(self, target: Target) -> bool:
        """SIGKILL of the search itself, which is then resumed."""
        self.search.kill()
        self.search.start()
        self._drivers += 1
        return True

    def node(self, target: Target) -> bool:
        """SIGKILL of the raylet of a worker's node; another node comes."""
        return self.nodes.lose(target.pids[0])

    def tracking(self, target: Target) -> bool:
        """SIGKILL of the MLflow server, which comes back seconds later."""
        self.server.kill()
        time.sleep(SERVER_AWAY_S)
        self.server.start()
        return True


KINDS: dict[str, Callable[[Harm, Target], bool]] = {
    "worker": Harm.worker, "lane": Harm.lane, "driver": Harm.driver, "node": Harm.node, "server": Harm.tracking,
    "disk": Harm.disk, "checkpoint": Harm.checkpoint, "hang": Harm.hang,
}  # fmt: skip
HITS_A_LANE = KINDS.keys() - {"driver", "server"}


def send(pids: Sequence[int], what: signal.Signals) -> bool:
    """Send a signal to those of the processes that are ours and there; False if none is."""
    sent = False
    for process in _ours():
        if process.pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(what)
                sent = True
    return sent


@contextlib.contextmanager
def _full(pids: Sequence[int]) -> Iterator[None]:
    """No file of these processes can grow beyond a few bytes: what they write fails, as it does on a full disk."""
    before: dict[psutil.Process, tuple[int, int]] = {}
    for process in _ours():
        if process.pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                before[process] = process.rlimit(psutil.RLIMIT_FSIZE)
                process.rlimit(psutil.RLIMIT_FSIZE, (FULL_BYTES, before[process][1]))
    try:
        yield
    finally:
        for process, limits in before.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.rlimit(psutil.RLIMIT_FSIZE, limits)


def _notices(events: Sequence[Mapping[str, Any]], key: str) -> int:
    return sum(event["event"] == "notice" and event["key"] == key for event in events)


def _ours() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended in this moment
        return ""


def _talk(pid: int, others: Sequence[int]) -> bool:
    """Does a process hold a connection to one of the others?"""
    return bool(_ports(pid, remote=True) & {port for other in others for port in _ports(other, remote=False)})


def _ports(pid: int, *, remote: bool) -> set[int]:
    """The ports that a process is connected to, or that it listens at."""
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return set()
    if remote:
        return {connection.raddr.port for connection in found if connection.raddr}
    return {connection.laddr.port for connection in found if connection.status == psutil.CONN_LISTEN}
