"""Runs a study's requests on lanes of a Ray cluster: the one place where queue, lanes, Tune and ledger meet."""

import contextlib
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayActorError, RayError
from ray.tune.progress_reporter import ProgressReporter
from ray.tune.stopper import Stopper

from raylab.cluster.attempt import LaneConfig, LaneLostError
from raylab.cluster.connection import join, start
from raylab.cluster.lanes import ON_HEAD, Lanes, free_rooms, loss_reason, start_lanes, start_queue
from raylab.cluster.queue import ATTEMPTS
from raylab.cluster.sampler import sampler
from raylab.cluster.scheduler import scheduler
from raylab.cluster.shipping import pack
from raylab.cluster.trial import OBJECTIVE, QUEUE, Trial
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.errors import Halted
from raylab.search.ledger import ENDED, FINAL, Ledger, Study
from raylab.search.study import Conduct, Request
from raylab.search.upkeep import Upkeep
from raylab.storage import Storage
from raylab.training.stage_cache import LIMIT_BYTES

# Every question takes a millisecond or more of the cores that the workers compute on. Lanes tell news twice a second.
POLL_S = 0.5
HANG_POLL_S = 5.0
HANG_AFTER_S = 300.0  # a lane that tells nothing of its run for so long is taken to hang: loading a model can take minutes
IDLE_AFTER_S = 60.0  # on a cluster: shorter than it takes to bring a machine up again, longer than from one trial to the next
QUEUES = 3  # of one search; when the last of them is lost, something is wrong with the machine it stands on
ENDING_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where and on how much a study runs; none of it decides a number. folder: the study's own; storage: what it lies
    in, if that may be a bucket.
    workers_per_lane: how many, or the fewest and the most: an elastic lane goes on with those there are. runs_per_lane: how many
    runs a lane of one worker runs at once, their training steps computed as one where that pays.
    hang_after_s: a lane's workers are killed when they tell nothing of their run for so long; start_within_s: when
    they are not up so long after there was room for them. idle_after_s: a lane that has waited for a run for so long
    gives its workers back until one waits; None: it keeps them. resize_every_s: how often an elastic lane looks
    whether more workers fit. cache_bytes: how much the cache of stages may hold on a machine; 0: nothing is kept."""

    folder: Path
    lanes: int
    workers_per_lane: int | tuple[int, int] = 1
    runs_per_lane: int = 1
    gpus_per_worker: float = 0.0
    address: str | None = None
    plugins: tuple[str, ...] = ()
    log_level: str = "error"
    checkpoint_every_s: float = 30.0
    hang_after_s: float = HANG_AFTER_S
    start_within_s: float = HANG_AFTER_S
    idle_after_s: float | None = None
    resize_every_s: float = 60.0
    storage: Storage | None = None
    cache_bytes: int = LIMIT_BYTES

    def place_of(self, path: Path) -> Storage:
        """The place of a folder of the study, or of its data."""
        return self.storage.at(path) if self.storage else Storage(here=path)

    @property
    def fewest_workers(self) -> int:
        """Of a lane."""
        return self.workers_per_lane if isinstance(self.workers_per_lane, int) else self.workers_per_lane[0]

    @property
    def most_workers(self) -> int:
        """Of a lane."""
        return self.workers_per_lane if isinstance(self.workers_per_lane, int) else self.workers_per_lane[1]


Live = dict[int, dict[str, Any]]


class LaneRunner:
    """A raylab.search.study.Runner on lanes. Use it as a context: lanes start on entry and end on exit.

    on_change(study, live) is called from a thread of its own whenever something happened, a few times a second.
    start: what starts the lanes. upkeep: what looks after the study's folder.
    """

    def __init__(
        self, placement: Placement, data: Path, study: Study, ledger: Ledger, *,
        on_change: Callable[[Study, Live], None] = lambda study, live: None,
        start: Callable[[int, LaneConfig, Path], Lanes] = start_lanes, upkeep: Upkeep | None = None,
    ) -> None:  # fmt: skip
        self.placement, self.data, self.study, self.ledger = placement, data, study, ledger
        self.on_change, self._start = on_change, start
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._error: BaseException | None = None
        self.upkeep = upkeep or Upkeep(placement.place_of(placement.folder))
        self._asked: dict[str, dict[str, Any]] = {}  # of `run`: to be asked of another queue should this one be lost
        self._proposed: set[str] = set()  # keys of the trials of `explore`
        self._queues = 0
        self._looked_for_hanging = time.monotonic()
        # A name of its own for every start: on a cluster that lives on, an earlier search may still hold its actors
        self.queue_name = f"{QUEUE}-{study.name}-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> "LaneRunner":
        place = self.placement
        if not ray.is_initialized():
            connect(place)
        self._start_queue_and_lanes()
        self._pump = threading.Thread(target=self._follow, name="raylab-ledger", daemon=True)
        self._pump.start()
        return self

    def _start_queue_and_lanes(self) -> None:
        place = self.placement
        self.queue = start_queue(self.queue_name, _ended(self.study), _lost(self.study), place.idle_after_s, place.runs_per_lane)
        self._queues += 1
        config = LaneConfig(
            queue=self.queue_name, data=place.place_of(self.data).address, runs=place.place_of(place.folder / "runs").address,
            workers=place.workers_per_lane, seats=place.runs_per_lane,
            gpus_per_worker=place.gpus_per_worker, threads=1, plugins=tuple(pack(Path(folder)) for folder in place.plugins),
            checkpoint_every_s=place.checkpoint_every_s, resize_every_s=place.resize_every_s, cache_bytes=place.cache_bytes,
        )  # fmt: skip
        self.lanes = self._start(place.lanes, config, place.folder / "lanes")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._pump.join(timeout=10)
        if self.placement.address and kind is None:
            self._end_lanes()
        ray.shutdown()
        for leftover in ("lanes", "tune"):
            shutil.rmtree(self.placement.folder / leftover, ignore_errors=True)

    def _end_lanes(self) -> None:
        """Let the lanes end by themselves: they take back what they asked of the cluster, or it would keep machines for
        them for minutes."""
        with contextlib.suppress(RayError):
            ray.get(self.queue.close.remote(), timeout=ENDING_S)
            ray.wait(self.lanes.ended, num_returns=len(self.lanes.ended), timeout=ENDING_S)

    # --- Runner -------------------------------------------------------------------------------------------------

    def explore(self, conduct: Conduct) -> None:
        """Let Tune propose and schedule the trials that are still due."""
        proposes = sampler(conduct, self._config_of(conduct), lambda: self._error is not None)
        tuner = tune.Tuner(
            tune.with_resources(Trial, tune.PlacementGroupFactory([ON_HEAD])),
            tune_config=tune.TuneConfig(
                metric=OBJECTIVE, mode="min", num_samples=conduct.still_due(), search_alg=proposes,
                scheduler=scheduler(conduct), max_concurrent_trials=self.placement.lanes * self.placement.runs_per_lane,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=str(self.placement.folder / "tune"), name=f"explore-{int(time.time())}", verbose=0,
                failure_config=tune.FailureConfig(max_failures=ATTEMPTS),  # of a trial's own process, which only waits
                stop=_Stopper(self), progress_reporter=_Silent() if "ipykernel" in sys.modules else None,
            ),
        )  # fmt: skip
        try:
            tuner.fit()
        except _CannotGoOn:
            assert self._error is not None
            raise self._error from None
        except OSError as error:  # Tune keeps files of its own beside the ledger
            raise Halted(f"{self.placement.folder / 'tune'} cannot be written: {error.strerror or error}.") from error
        self._wait_for(sorted(self._proposed))

    def run(self, requests: Sequence[Request]) -> None:
        """Run these, as far as they have not ended yet."""
        due = [r for r in requests if not self.study.has_ended(r.key)]
        asked = {r.key: {**r.plain(), "data": self._address(r.data)} for r in due}
        self._asked |= asked
        with contextlib.suppress(RayActorError):  # who follows the ledger notices that, too, and asks another queue
            ray.get([self.queue.submit.remote(request) for request in asked.values()])
        self._wait_for([r.key for r in due])

    def _address(self, data: Path | None) -> str | None:
        """Where lanes find the data of a run that reads others than its study's."""
        return self.placement.place_of(data).address if data else None

    # --- the ledger's thread ------------------------------------------------------------------------------------

    def _config_of(self, conduct: Conduct) -> Callable[[dict[str, Any]], dict[str, Any]]:
        metric = conduct.settings.metric
        fixed = {"metric": metric, "higher_is_better": HIGHER_IS_BETTER[metric], "queue": self.queue_name}

        def config(request: dict[str, Any]) -> dict[str, Any]:
            self._proposed.add(request["key"])
            return {"request": request, **fixed}

        return config

    def _wait_for(self, keys: Sequence[str]) -> None:
        """Return when all of these are over and in the ledger."""
        with self._changed:
            while not all(map(self.study.has_ended, keys)):
                if self._error is not None:
                    raise self._error
                self._changed.wait(timeout=1.0)

    def _follow(self) -> None:
        try:
            while not self._closing.is_set():
                try:
                    self._take_in()
                except RayActorError as error:
                    self._recover(error)
                time.sleep(POLL_S)
            with contextlib.suppress(RayActorError):
                self._take_in()
        except BaseException as error:  # told to the main thread, which is waiting for what will not come
            self._error = error
            with self._changed:
                self._changed.notify_all()

    def _take_in(self) -> None:
        events, live = ray.get(self.queue.poll.remote(), timeout=60)
        for event in events:
            if event["event"] == "run" and event["key"] in self.study.runs:
                continue  # asked for before the search was resumed
            row = self.ledger.append(**event)
            with self._changed:
                self.study.apply(row)
                self._changed.notify_all()
            if event["event"] == "end" and event["state"] in FINAL:
                self.upkeep.ended(event["key"])
        self.upkeep.check()
        self.on_change(self.study, live)
        if time.monotonic() - self._looked_for_hanging >= HANG_POLL_S:
            self._end_hanging()
        ended, _ = ray.wait(self.lanes.ended, num_returns=len(self.lanes.ended), timeout=0)
        if ended and not self._closing.is_set():
            _say_why(ended)

    def _end_hanging(self) -> None:
        place = self.placement
        for hanging in ray.get(self.queue.hanging.remote(place.hang_after_s, place.start_within_s), timeout=60):
            ray.kill(hanging)
        self._looked_for_hanging = time.monotonic()

    def _recover(self, error: RayActorError) -> None:
        """The queue is lost: start another from the ledger, with new lanes. Whoever waited for the old one asks again."""
        if self._queues == QUEUES:
            raise LaneLostError(f"the queue was lost {QUEUES} times; the last time: {loss_reason(error)}")
        ray.kill(self.lanes.keeper)  # and with it the lanes: they would train on for nobody
        free_rooms()
        self._start_queue_and_lanes()
        for key, request in self._asked.items():
            if not self.study.has_ended(key):
                self.queue.submit.remote(request)


class _CannotGoOn(BaseException):
    """Ends Ray Tune at once, as an interrupt does: for an exception it would first wait for its trials."""


class _Silent(ProgressReporter):
    """In a notebook Ray Tune's own reporter would clear what was told before, even where it has nothing to say."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False


class _Stopper(Stopper):
    """Asked by Ray Tune again and again while trials wait for runs, which will never end once the ledger's thread has."""

    def __init__(self, runner: LaneRunner) -> None:
        self.runner = runner

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self.runner._error is not None:
            raise _CannotGoOn
        return False

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it, to restore from it; a study is resumed from its ledger alone


def _say_why(ended: Sequence[Any]) -> None:
    """Raise what ended a lane, without the traceback of the process that it ended in. A lost queue ends them all."""
    try:
        ray.get(list(ended))
    except RayActorError:
        return
    except LaneLostError as error:
        raise LaneLostError(str(getattr(error, "cause", error))) from None


def connect(place: Placement) -> None:
    """Become a driver of the cluster that the placement names, or of a Ray on this machine."""
    if place.address:
        join(place.address, log_level=place.log_level)
    else:
        start(
            workers=place.lanes * place.most_workers, lanes=place.lanes, gpus_per_worker=place.gpus_per_worker,
            log_level=place.log_level,
        )  # fmt: skip


def _ended(study: Study) -> dict[str, dict[str, Any]]:
    """The end of every run that is over, as the queue answers with it."""
    over = (run for run in study.runs.values() if run.state in ENDED)
    return {run.key: {"event": "end", "key": run.key, "state": run.state, "metrics": run.metrics} for run in over}


def _lost(study: Study) -> dict[str, int]:
    """How many attempts of every run that is not over were lost by a fault."""
    return {run.key: sum(loss["fault"] for loss in run.losses) for run in study.runs.values() if run.state not in ENDED}
