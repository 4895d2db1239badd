"""What a lane's workers do: take a request, run its recipe, report; again and again until the queue closes.

Rank 0 takes a request from the queue and shares it; all ranks run it; rank 0 reports. A recipe that raises ends its
run, not its lane.
"""

import contextlib
import json
import os
import socket
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from raylab.cluster.shipping import unpack
from raylab.cluster.trial import NAMESPACE

TICK_S = 0.5
END_FILE = "end.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneConfig:
    """What every lane of a study is told: actor name of the queue, folders, workers and what each of them gets.

    workers: how many, or the fewest and the most. resize_every_s: how often an elastic lane looks whether more fit.
    """

    queue: str
    data: str
    runs: str
    workers: int | tuple[int, int]
    gpus_per_worker: float
    threads: int
    plugins: tuple[dict[str, Any], ...] = ()  # as raylab.cluster.shipping packs them
    checkpoint_every_s: float = 30.0
    resize_every_s: float = 60.0


class LaneLostError(RuntimeError):
    """A lane's workers are lost time after time before they take up a run: it cannot stand here."""


def lane_loop(config: dict[str, Any]) -> None:
    """What each worker of a lane does until the queue closes."""
    import torch

    from raylab.data.prepared import Prepared
    from raylab.registry import add_plugins
    from raylab.training.memory import Memory
    from raylab.training.parallel import Parallel
    from raylab.trial import device_of

    torch.set_num_threads(config["threads"])
    for folder in config["plugins"]:
        add_plugins(unpack(folder))
    queue = ray.get_actor(config["queue"], namespace=NAMESPACE)
    parallel = Parallel.current(device_of(config["gpus_per_worker"]))
    data = Prepared(Path(config["data"]))
    memory = Memory(Path(config["runs"]).parents[1] / "memory")  # beside the studies: what one learned, the next one knows
    here = ray.get_runtime_context().current_actor
    ray.get(queue.join.remote(config["lane"], parallel.rank, socket.gethostname(), os.getpid(), here))
    while True:
        request = parallel.share(ray.get(queue.take.remote(config["lane"])) if parallel.rank == 0 else None)
        if request == {}:
            return
        if request is not None:
            _Attempt(config, request, queue, parallel, data, memory).run()


class _Attempt:
    """One request being run on this worker."""

    def __init__(self, config: dict[str, Any], request: Any, queue: Any, parallel: Any, data: Any, memory: Any) -> None:
        self.config, self.request, self.queue, self.parallel, self.data = config, request, queue, parallel, data
        self.memory = memory
        self.key = request["key"]
        self.folder = Path(config["runs"]) / self.key
        self.ticker = _Ticker(config["lane"], request, queue, parallel.rank)

    def run(self) -> None:
        """Run to an end, and report it; an end that is on disk already is only reported again."""
        end_file = self.folder / END_FILE
        known = self.parallel.share(json.loads(end_file.read_text()) if self.parallel.rank == 0 and end_file.exists() else None)
        end = known or self._agreed(self._execute())
        if self.parallel.rank == 0:
            with contextlib.suppress(OSError):  # a full disk: should the lane be lost in this moment, the run is run again
                self._write(end, end_file)
            self.ticker.flush()
            ray.get(self.queue.finish.remote(self.config["lane"], end))

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
        from raylab.trial import Execution

        execution = Execution(
            data=self.data, seeds=Seeds(**self.request["seeds"]), parallel=self.parallel, splits=self.request["splits"],
            rungs=self.request["rungs"], folder=self.folder, checkpoint_every_s=self.config["checkpoint_every_s"],
            keep_model=self.folder / "model" if self.request["keep_model"] else None, memory=self.memory,
            alive=self.ticker.alive,
        )  # fmt: skip
        end: dict[str, Any] = {"key": self.key, "state": "finished", "metrics": {}, "scores": {}, "error": None}
        try:
            self._consume(execution, end)
        except Diverged as error:
            end |= {"state": "diverged", "error": str(error)}
        except OutOfMemory as error:
            end |= {"state": "failed", "error": f"out_of_memory: {error}"}
        except Exception:  # whatever a recipe raises is its result; the search goes on
            end |= {"state": "failed", "error": traceback.format_exc()}
        used = execution.totals
        return {**end, "metrics": {**used.used(), **end["metrics"]}, "seconds": used.times()}

    def _consume(self, execution: Any, end: dict[str, Any]) -> None:
        from raylab.recipe import Recipe, decode
        from raylab.training.progress import Notice, Progress, Rung
        from raylab.trial import run_recipe

        events = run_recipe(decode(Recipe, self.request["recipe"]), execution)
        for event in events:
            if isinstance(event, Progress):
                self.ticker.progress(event)
            elif isinstance(event, Rung):
                end["metrics"] = dict(event.metrics)
                if not self._may_go_on(event):
                    events.close()
                    end["state"] = "pruned"
            elif isinstance(event, Notice):
                self.ticker.notice(event.text)
            else:
                end |= {"metrics": dict(event.metrics), "scores": event.scores}

    def _may_go_on(self, rung: Any) -> bool:
        if self.parallel.rank == 0:
            self.ticker.flush()
        asked = ray.get(self.queue.rung.remote(self.key, rung.fraction, dict(rung.metrics))) if self.parallel.rank == 0 else None
        return bool(self.parallel.share(asked))


class _Ticker:
    """Tells the queue how far a run is, without waiting for it. Only rank 0's words are heard."""

    def __init__(self, lane: int, request: dict[str, Any], queue: Any, rank: int) -> None:
        self.lane, self.queue, self.request, self.speaks = lane, queue, request, rank == 0
        self.live: dict[str, Any] = {"key": request["key"], "label": request["label"], "role": request["role"]}
        self.points: list[dict[str, Any]] = []
        self.tokens = 0
        self.last = time.monotonic()

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
        """The run goes on, though perhaps without a step: it is being scored."""
        if time.monotonic() - self.last >= TICK_S:
            self.flush()

    def notice(self, text: str) -> None:
        """Something a person should know of the run."""
        if self.speaks:
            self.queue.notice.remote(self.request["key"], text)

    def flush(self) -> None:
        """Send what there is."""
        elapsed = time.monotonic() - self.last
        if self.speaks:
            self.queue.tick.remote(self.lane, {**self.live, "tokens_per_s": self.tokens / max(elapsed, 1e-9)}, self.points)
        self.points, self.tokens, self.last = [], 0, time.monotonic()
