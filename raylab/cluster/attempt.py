"""What a lane's workers do: take a request, run its recipe, report; again and again until the queue closes.

Rank 0 takes a request from the queue and shares it; all ranks run it; rank 0 reports. A recipe that raises ends its
run, not its lane.

A lane of one worker may have several seats: runs that take turns in its process, and whose training steps are computed as one
where that pays (see raylab.training.company). Each seat does what a lane of one run does.
"""

import contextlib
import functools
import json
import os
import shutil
import socket
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock

from raylab.cluster.shipping import unpack
from raylab.cluster.trial import NAMESPACE
from raylab.search.ledger import FINAL, OUT_OF_MEMORY

TICK_S = 0.5
END_FILE = "end.json"
COMPLETE = "meta.json"  # of prepared data: the file that is written and taken last


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneConfig:
    """What every lane of a study is told: actor name of the queue, folders, workers and what each of them gets.

    data, runs: addresses of places (see raylab.storage); a request may name other data. workers: how many, or the fewest and
    the most. seats: how many runs a worker that is alone in its lane runs at once. resize_every_s: how often an elastic lane
    looks whether more fit. cache_bytes: how much the cache of stages may hold on a machine; 0: there is none.
    """

    queue: str
    data: str
    runs: str
    workers: int | tuple[int, int]
    gpus_per_worker: float
    threads: int
    seats: int = 1
    plugins: tuple[dict[str, Any], ...] = ()  # as raylab.cluster.shipping packs them
    checkpoint_every_s: float = 30.0
    resize_every_s: float = 60.0
    cache_bytes: int = 0


class LaneLostError(RuntimeError):
    """A lane's workers are lost time after time before they take up a run: it cannot stand here."""


def lane_loop(config: dict[str, Any]) -> None:
    """What each worker of a lane does until the queue closes."""
    import torch

    from raylab.data.prepared import Prepared
    from raylab.registry import add_plugins
    from raylab.storage import Storage
    from raylab.training.company import Company
    from raylab.training.memory import Memory
    from raylab.training.parallel import Parallel
    from raylab.training.stage_cache import FOLDER as STAGES
    from raylab.training.stage_cache import StageCache
    from raylab.trial import device_of

    for folder in config["plugins"]:
        add_plugins(unpack(folder))
    queue = ray.get_actor(config["queue"], namespace=NAMESPACE)
    parallel = Parallel.current(device_of(config["gpus_per_worker"]))
    opened = functools.cache(lambda address: Prepared(data_here(Storage.of(address))))
    opened(config["data"])  # without its data a lane cannot stand here
    runs = Storage.of(config["runs"])
    memory = Memory(runs.here.parents[1] / "memory")  # beside the studies: what one learned, the next one knows
    cache = StageCache(place=runs.parent.parent / STAGES, limit_bytes=config["cache_bytes"]) if config["cache_bytes"] else None
    here = ray.get_runtime_context().current_actor
    ray.get(queue.join.remote(config["lane"], parallel.rank, socket.gethostname(), os.getpid(), here))

    def serve(seat: int, parallel: Parallel) -> None:
        """Run after run, until the queue has no more for this seat."""
        torch.set_num_threads(config["threads"])  # which torch keeps for each thread
        at = {**config, "lane": config["lane"] + seat}
        while True:
            request: Any = parallel.share(_asked(queue.take.remote(at["lane"]), parallel) if parallel.rank == 0 else None)
            if request == {}:
                return
            if request is not None:
                data = opened(request.get("data") or config["data"])
                _Attempt(at, request, queue, parallel, data, runs / request["key"], memory, cache).run()

    if config["seats"] == 1:
        serve(0, parallel)
    else:
        company = Company()
        company.seat([functools.partial(serve, seat, replace(parallel, company=company)) for seat in range(config["seats"])])


def _asked(answer: Any, parallel: Any) -> Any:
    """What the queue answers. The other runs of this process go on meanwhile."""
    with parallel.company.outside() if parallel.company else contextlib.nullcontext():
        return ray.get(answer)


def data_here(place: Any) -> Path:
    """The folder of prepared data on this machine, brought from the bucket once a machine. Raises LaneLostError if there
    is none."""
    if place.bucket:
        place.here.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.here.with_name(f".{place.here.name}.lock")):
            place.fetch(last=COMPLETE, keyed=True)
    if (place.here / COMPLETE).is_file():
        return Path(place.here)
    host = socket.gethostname()
    raise LaneLostError(f"{place} is not on {host}. Give a --storage that all machines see: a shared folder, or s3://...")


_OVER = "stopped: the time that the study may take is over (--max-hours, --max-cost)"


class _OutOfTime(Exception):
    """A cap on the study's time has been reached."""


class _Attempt:
    """One request being run on this worker."""

    def __init__(
        self, config: dict[str, Any], request: Any, queue: Any, parallel: Any, data: Any, place: Any, memory: Any, cache: Any
    ) -> None:
        self.config, self.request, self.queue, self.parallel, self.data = config, request, queue, parallel, data
        self.place, self.memory, self.cache = place, memory, cache
        self.key = request["key"]
        self.folder: Path = place.here
        self.ticker = _Ticker(config["lane"], request, queue, parallel)

    def run(self) -> None:
        """Run to an end, and report it; an end that was kept already is only reported again."""
        known = self.parallel.share(self._known() if self.parallel.rank == 0 else None)
        end = known or self._agreed(self._execute())
        if self.parallel.rank == 0:
            if end["state"] in FINAL:
                self._keep(end)
            self.ticker.flush()
            _asked(self.queue.finish.remote(self.config["lane"], end), self.parallel)
        elif self.place.bucket:
            for checkpoint in self.folder.glob("step_*"):  # what this machine had to bring for its workers
                shutil.rmtree(checkpoint, ignore_errors=True)

    def _known(self) -> dict[str, Any] | None:
        """How the run ended, if it has: the lane or the driver was lost before that was told."""
        with contextlib.suppress(OSError):
            self.place.fetch(END_FILE)
        file = self.folder / END_FILE
        return json.loads(file.read_text()) if file.exists() else None

    def _keep(self, end: dict[str, Any]) -> None:
        """Note how it ended until that is in the ledger, on disk and in the bucket, if there is one: then nothing is left
        here. On a full disk it is not noted, and should the lane be lost in this moment, the run is run again."""
        with contextlib.suppress(OSError):
            self._write(end, self.folder / END_FILE)
        if not self.place.bucket:
            return
        try:
            if (self.folder / "model").is_dir():
                self.place.push("model", last="config.json")
            self.place.write(END_FILE, json.dumps(end).encode())
        except OSError as error:
            self.ticker.notice(f"its end could not be taken to the storage, and is on {socket.gethostname()} alone: {error}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)  # before the driver looks for the model, perhaps in this folder

    def _write(self, end: dict[str, Any], file: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".tmp")
        temporary.write_text(json.dumps(end))
        temporary.rename(file)

    def _agreed(self, end: dict[str, Any]) -> dict[str, Any]:
        """How the run ended for all workers. Raises, which starts the lane anew, if they can't go on together."""
        rank, world = self.parallel.rank, self.parallel.world
        if world == 1:
            return end
        met = ray.get(self.queue.meet.remote(self.config["lane"], self.request["attempt"], rank, world, end))
        if met is None:
            raise LaneLostError(f"worker {rank} raised alone, and can't go on with the others")
        return met

    def _execute(self) -> dict[str, Any]:
        from raylab.errors import Diverged, OutOfMemory
        from raylab.seeds import Seeds
        from raylab.training.footprint import held
        from raylab.trial import Execution

        execution = Execution(
            data=self.data, seeds=Seeds(**self.request["seeds"]), parallel=self.parallel, splits=self.request["splits"],
            rungs=self.request["rungs"], folder=self.place, checkpoint_every_s=self.config["checkpoint_every_s"],
            keep_model=self.folder / "model" if self.request["keep_model"] else None, memory=self.memory,
            alive=self.ticker.alive, cache=self.cache,
        )  # fmt: skip
        end: dict[str, Any] = {"key": self.key, "state": "finished", "metrics": {}, "scores": {}, "error": None}
        try:
            self._consume(execution, end)
        except Diverged as error:
            end |= {"state": "diverged", "error": str(error)}
        except _OutOfTime as error:
            end |= {"state": "stopped", "error": str(error)}
        except OutOfMemory as error:
            end |= {"state": "failed", "error": f"{OUT_OF_MEMORY}: {error}"}
        except Exception:  # whatever a recipe raises is its result; the search goes on
            end |= {"state": "failed", "error": traceback.format_exc()}
        used = execution.totals
        memory = end.get("memory") or held(self.parallel.device)  # of a run that did not finish, this worker's
        return {**end, "metrics": {**used.used(), **end["metrics"]}, "seconds": used.times(), "memory": memory}

    def _consume(self, execution: Any, end: dict[str, Any]) -> None:
        from raylab.recipe import Recipe, decode
        from raylab.training.progress import Notice, Progress, Rung, Staged
        from raylab.trial import run_recipe

        events = run_recipe(decode(Recipe, self.request["recipe"]), execution)
        for event in events:
            if isinstance(event, Progress):
                self.ticker.progress(event)
                self._check_time(events)
            elif isinstance(event, Rung):
                end["metrics"] = dict(event.metrics)
                if not self._may_go_on(event):
                    events.close()
                    end["state"] = "pruned"
            elif isinstance(event, Notice):
                self.ticker.notice(event.text)
            elif isinstance(event, Staged):
                self.ticker.staged(event.key)
            else:
                end |= {"metrics": dict(event.metrics), "scores": event.scores, "memory": dict(event.memory)}

    def _check_time(self, events: Any) -> None:
        """Stop where the time that the study may take is over: after the step at which rank 0 finds that it is."""
        if self.ticker.end is not None and self.parallel.share(self.ticker.is_over() if self.parallel.rank == 0 else None):
            events.close()
            raise _OutOfTime(_OVER)

    def _may_go_on(self, rung: Any) -> bool:
        if self.parallel.rank == 0:
            self.ticker.flush()
        rank, told = self.parallel.rank, (self.key, rung.fraction, dict(rung.metrics))
        return bool(self.parallel.share(_asked(self.queue.rung.remote(*told), self.parallel) if rank == 0 else None))


class _Ticker:
    """Tells the queue how far a run is, without waiting for it. Only rank 0's words are heard."""

    def __init__(self, lane: int, request: dict[str, Any], queue: Any, parallel: Any) -> None:
        self.lane, self.queue, self.request, self.speaks = lane, queue, request, parallel.rank == 0
        self.alone = parallel.world == 1
        self.live: dict[str, Any] = {"key": request["key"], "label": request["label"], "role": request["role"]}
        self.points: list[dict[str, Any]] = []
        self.tokens = 0
        self.last = time.monotonic()
        left_s = request.get("left_s")
        self.end = None if left_s is None else self.last + left_s

    def is_over(self) -> bool:
        """Has the time come at which the run is to be stopped?"""
        return self.end is not None and time.monotonic() >= self.end

    def progress(self, step: Any) -> None:
        """Take in one step; every half second the queue hears of it."""
        if "position" not in self.live:
            self._first(step.position - 1)
        kind = step.stage.split("-", 1)[-1]
        self.tokens += step.input_tokens + step.target_tokens
        self.live |= {"stage": kind, "step": step.step, "steps": step.steps, "position": step.position}
        if step.loss is not None:
            point = {"step": step.position, "time": round(time.time(), 3), f"{kind}_loss": round(step.loss, 5)}
            self.points.append({**point, "learning_rate": step.learning_rate})
        self.alive()

    def _first(self, behind: int) -> None:
        if self.speaks and (behind or self.request["attempt"] > 1):
            self.queue.restored.remote(self.request["key"], self.request["attempt"], behind)

    def alive(self) -> None:
        """The run goes on, though perhaps without a step: it is being scored. A worker that is alone in its lane may stop
        here, too; several stop together, at a step."""
        if self.alone and self.is_over():
            raise _OutOfTime(_OVER)
        if time.monotonic() - self.last >= TICK_S:
            self.flush()

    def notice(self, text: str) -> None:
        """Something a person should know of the run."""
        if self.speaks:
            self.queue.notice.remote(self.request["key"], text)

    def staged(self, stage: str) -> None:
        """A prefix of stages is done."""
        if self.speaks:
            self.queue.staged.remote(stage)

    def flush(self) -> None:
        """Send what there is."""
        elapsed = time.monotonic() - self.last
        if self.speaks:
            self.queue.tick.remote(self.lane, {**self.live, "tokens_per_s": self.tokens / max(elapsed, 1e-9)}, self.points)
        self.points, self.tokens, self.last = [], 0, time.monotonic()
