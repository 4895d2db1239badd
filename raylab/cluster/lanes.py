"""Lanes: long-lived Ray Train worker groups that execute run after run.

Starting a worker group costs seconds; a run on a warm one costs nothing beyond its steps. Rank 0 of a lane takes a
request from the queue and shares it; all ranks run it; rank 0 reports. A recipe that raises ends its run, not its lane;
a lost worker restarts the group, which takes its unfinished run up again from its checkpoint.
"""

import json
import os
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer

from raylab.cluster.queue import Queue
from raylab.cluster.trial import NAMESPACE

TICK_S = 0.5
END_FILE = "end.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneConfig:
    """What every lane of a study is told: actor name of the queue, folders, workers and what each of them gets."""

    queue: str
    data: str
    runs: str
    workers: int
    gpus_per_worker: float
    threads: int
    plugins: tuple[str, ...] = ()
    checkpoint_every_s: float = 30.0


def start_queue(name: str, ended: dict[str, dict[str, Any]]) -> Any:
    """The queue's actor. It takes no CPU; its many waiting calls are coroutines."""
    return ray.remote(num_cpus=0, max_concurrency=10_000)(Queue).options(name=name, namespace=NAMESPACE).remote(ended)


def start_lanes(count: int, config: LaneConfig, storage: Path) -> list[Any]:
    """Start `count` lanes; each returned reference is ready when its lane has ended, with an error if it could not run."""
    keeper = ray.remote(num_cpus=0, max_concurrency=count)(_Keeper).remote(config, str(storage))
    return [keeper.keep.remote(index) for index in range(count)]


class _Keeper:
    """The actor that keeps all lanes up, a thread each. Not the driver: a thread of it that still waits for a worker
    group when Ray is shut down would take the process with it."""

    def __init__(self, config: LaneConfig, storage: str) -> None:
        self.config, self.storage = config, storage

    def keep(self, index: int) -> None:
        """Run lane `index` until the queue closes. A lost worker restarts its group, without limit."""
        config, cuda = self.config, self.config.gpus_per_worker > 0
        resources = {"CPU": 1.0, **({"GPU": config.gpus_per_worker} if cuda else {})}
        TorchTrainer(
            lane_loop,
            train_loop_config={"lane": index, **asdict(config)},
            torch_config=TorchConfig(backend="nccl" if cuda else "gloo"),
            scaling_config=ray.train.ScalingConfig(num_workers=config.workers, use_gpu=cuda, resources_per_worker=resources),
            run_config=ray.train.RunConfig(
                name=f"lane{index}-{os.getpid()}",
                storage_path=self.storage,
                failure_config=ray.train.FailureConfig(max_failures=-1),
            ),
        ).fit()


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
        add_plugins(Path(folder))
    queue = ray.get_actor(config["queue"], namespace=NAMESPACE)
    parallel = Parallel.current(device_of(config["gpus_per_worker"]))
    data = Prepared(Path(config["data"]))
    memory = Memory(Path(config["runs"]).parents[1] / "memory")  # beside the studies: what one learned, the next one knows
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
        self.ticker = _Ticker(config["lane"], request, queue)

    def run(self) -> None:
        """Run to an end, and report it; an end that is on disk already is only reported again."""
        end_file = self.folder / END_FILE
        known = self.parallel.share(json.loads(end_file.read_text()) if self.parallel.rank == 0 and end_file.exists() else None)
        end = known or self._execute()
        if self.parallel.rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = end_file.with_suffix(".tmp")
            temporary.write_text(json.dumps(end))
            temporary.rename(end_file)
            self.ticker.flush()
            ray.get(self.queue.finish.remote(self.config["lane"], end))

    def _execute(self) -> dict[str, Any]:
        from raylab.errors import Diverged, OutOfMemory
        from raylab.seeds import Seeds
        from raylab.trial import Execution

        execution = Execution(
            data=self.data, seeds=Seeds(**self.request["seeds"]), parallel=self.parallel, splits=self.request["splits"],
            rungs=self.request["rungs"], folder=self.folder, checkpoint_every_s=self.config["checkpoint_every_s"],
            keep_model=self.folder / "model" if self.request["keep_model"] else None, memory=self.memory,
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
        from raylab.training.progress import Progress, Rung
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
            else:
                end |= {"metrics": dict(event.metrics), "scores": event.scores}

    def _may_go_on(self, rung: Any) -> bool:
        if self.parallel.rank == 0:
            self.ticker.flush()
        asked = ray.get(self.queue.rung.remote(self.key, rung.fraction, dict(rung.metrics))) if self.parallel.rank == 0 else None
        return bool(self.parallel.share(asked))


class _Ticker:
    """Tells the queue how far a run is, without waiting for it."""

    def __init__(self, lane: int, request: dict[str, Any], queue: Any) -> None:
        self.lane, self.queue = lane, queue
        self.live: dict[str, Any] = {"key": request["key"], "label": request["label"], "role": request["role"]}
        self.points: list[dict[str, Any]] = []
        self.tokens = 0
        self.last = time.monotonic()

    def progress(self, step: Any) -> None:
        """Take in one step; every half second the queue hears of it."""
        kind = step.stage.split("-", 1)[-1]
        self.tokens += step.input_tokens + step.target_tokens
        self.live |= {"stage": kind, "step": step.step, "steps": step.steps}
        if step.loss is not None:
            point = {"step": step.position, "time": round(time.time(), 3), f"{kind}_loss": round(step.loss, 5)}
            self.points.append({**point, "learning_rate": step.learning_rate})
        if time.monotonic() - self.last >= TICK_S:
            self.flush()

    def flush(self) -> None:
        """Send what there is."""
        elapsed = time.monotonic() - self.last
        self.queue.tick.remote(self.lane, {**self.live, "tokens_per_s": self.tokens / max(elapsed, 1e-9)}, self.points)
        self.points, self.tokens, self.last = [], 0, time.monotonic()
