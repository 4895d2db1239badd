"""The search that `raylab.bench chaos` kills, a process of its own, and who kills it."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from raylab.data import atlas
from raylab.data.prepared import Preparation, prepare
from raylab.data.source import fingerprint
from raylab.recipe import ModelSpec
from raylab.search.ledger import FILE, Ledger, Study, read_events
from raylab.search.space import Setting, load_space
from raylab.search.study import Conduct, Settings

KINDS = ("worker", "checkpoint", "hang", "lane", "driver", "server")
LANES = 2
CHECKPOINT_S = 1.0
HANG_S = 20.0  # longer than a lane needs to import what its first run needs
SPARED = 2  # a run that lost so many attempts is left alone: a third would fail it, as it should
STUCK_S = 300.0
_CHILD = "import sys; from raylab.bench._chaos import search; search(sys.argv[1], int(sys.argv[2]), sys.argv[3])"


def search(folder: str, trials: int, tracking_uri: str) -> None:
    """Begin the study in `folder`, or go on with it, until every recipe of the list has ended."""
    from raylab.cluster.runner import LaneRunner, Placement
    from raylab.cluster.tracking import Mirror

    place = Placement(folder=Path(folder), lanes=LANES, checkpoint_every_s=CHECKPOINT_S, hang_after_s=HANG_S)
    begun = (place.folder / FILE).exists()
    conduct = _conduct(place.folder, trials, Study.read(place.folder) if begun else None)
    study = conduct.study
    with contextlib.closing(Ledger(place.folder)) as ledger:
        if begun:
            ledger.append("resumed")
        else:
            ledger.append("study", name=study.name, settings=study.settings, data=study.data, environment=study.environment)
        mirror = Mirror(place.folder, tracking_uri)
        mirror.start()
        with LaneRunner(place, conduct.data.folder, study, ledger) as runner:
            runner.explore(conduct)
        flush = mirror.close(60.0)
    if not flush.complete:
        sys.exit(flush.line)


def _conduct(folder: Path, trials: int, study: Study | None) -> Conduct:
    """A study whose trials are a list: as many starting points as trials leave nothing to sample."""
    task = atlas.fixture()
    data = prepare(task, fingerprint(task), Preparation(vocab_size=400), folder.parents[1])
    policies = ("uniform", "span", "whole_word")
    setting = Setting(
        task=task.name, base=ModelSpec(), policies=policies, budget_tokens=60_000, finetune_steps=20, batch_size=8,
    )  # fmt: skip
    settings = Settings(
        space="masking", trials=trials, seed=0, seeds=2, metric="bits_per_answer", scheduler="none", setting=setting
    )
    listed = [{"policy": policies[i % 3], "target": "spans", "learning_rate": 1e-3 * (1 + i / trials)} for i in range(trials)]
    name = folder.parent.name
    new = Study(name=name, settings={"metric": settings.metric}, data={}, environment={}, created=time.time())
    return Conduct(settings, replace(load_space("masking"), starts=lambda setting: listed), data, study or new)


def _started(folder: Path, trials: int, url: str) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "search.log", "ab") as log:
        return subprocess.Popen([sys.executable, "-c", _CHILD, str(folder), str(trials), url], stdout=log, stderr=log)


def _ended_well(process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.wait() != 0:
        raise RuntimeError(f"the search ended with {process.returncode}: {_last_words(folder)}")


def _last_words(folder: Path) -> str:
    return (folder.parent / "search.log").read_text(errors="replace")[-2000:]


def left_alone(folder: Path, trials: int, url: str) -> list[dict[str, Any]]:
    """The ledger of the search without kills."""
    _ended_well(_started(folder, trials, url), folder)
    return read_events(folder / FILE)


# --- the kills ---------------------------------------------------------------------------------------------------


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
                at, workers = {}, {}
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


class Killed:
    """The search whose processes are killed, driver after driver."""

    def __init__(self, folder: Path, trials: int, server: Any, chance: random.Random) -> None:
        self.folder, self.trials, self.server, self.chance = folder, trials, server, chance
        self.done: Counter[str] = Counter()
        self._hit: set[tuple[str, int, int]] = set()
        self._drivers = 0

    def run(self, order: Sequence[str]) -> None:
        """Kill in this order as long as the search goes on, and let it come to its end."""
        self._start()
        try:
            for kind in order:
                target = self._next()
                if target is None:
                    break
                getattr(self, f"_{kind}")(target)
                self.done[kind] += 1
            _ended_well(self.process, self.folder)
        finally:
            _end(self._tree())

    def _start(self) -> None:
        self.process, self._drivers = _started(self.folder, self.trials, self.server.url), self._drivers + 1

    def _next(self) -> Target | None:
        """A lane that trains and was not hit in this attempt; None when the search is over."""
        began = time.monotonic()
        while self.process.poll() is None:
            events = read_events(self.folder / FILE) if (self.folder / FILE).exists() else []
            fresh = [t for t in targets(events) if (t.key, t.attempt, self._drivers) not in self._hit]
            if fresh:
                return self.chance.choice(fresh)
            if time.monotonic() - began > STUCK_S:
                raise RuntimeError(f"no lane trains for {STUCK_S:.0f} s: {_last_words(self.folder)}")
            time.sleep(0.2)
        return None

    def _tree(self) -> list[psutil.Process]:
        """The search's own processes: no other is ever killed."""
        with contextlib.suppress(psutil.NoSuchProcess):
            driver = psutil.Process(self.process.pid)
            return [driver, *driver.children(recursive=True)]
        return []

    def _signal(self, target: Target, pids: Sequence[int], what: signal.Signals) -> None:
        self._hit.add((target.key, target.attempt, self._drivers))
        for process in self._tree():
            if process.pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(what)

    def _worker(self, target: Target) -> None:
        self._signal(target, target.pids, signal.SIGKILL)

    def _hang(self, target: Target) -> None:
        self._signal(target, target.pids, signal.SIGSTOP)

    def _checkpoint(self, target: Target) -> None:
        self._signal(target, target.pids, signal.SIGSTOP)  # it must not write another one meanwhile
        if found := sorted((self.folder / "runs" / target.key).glob("step_*/model.safetensors")):
            os.truncate(found[-1], found[-1].stat().st_size // 2)
        self._signal(target, target.pids, signal.SIGKILL)

    def _lane(self, target: Target) -> None:
        controllers = [p.pid for p in self._tree() if _title(p).startswith("ray::TrainController")]
        self._signal(target, [*target.pids, self.chance.choice(controllers)], signal.SIGKILL)

    def _driver(self, target: Target) -> None:
        tree = self._tree()
        self.process.kill()
        self.process.wait()
        _end(tree, patience_s=10.0)
        self._start()

    def _server(self, target: Target) -> None:
        self.server.kill()
        time.sleep(3.0)
        self.server.start()


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it ended in this moment
        return ""


def _end(tree: Sequence[psutil.Process], patience_s: float = 0.0) -> None:
    """See to it that these are gone: those of a killed driver end by themselves, but a stopped one never does."""
    _, left = psutil.wait_procs(tree, timeout=patience_s)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)
