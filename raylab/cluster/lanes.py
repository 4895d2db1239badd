"""Lanes: long-lived Ray Train worker groups that execute run after run.

Starting a worker group costs seconds; a run on a warm one costs nothing beyond its steps (`raylab.cluster.attempt` says
what its workers do). A lost worker ends the group, and the next one takes its unfinished run up again from its checkpoint.

Who watches whom: Ray Train sees a worker die and ends its group; the lane's keeper then starts another. Ray restarts
the keeper. The queue notices a lane that tells nothing of its run (see LaneRunner, which kills it).
"""

import itertools
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.exceptions import RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError

from raylab.cluster.attempt import LaneConfig, LaneLostError, lane_loop
from raylab.cluster.queue import Queue
from raylab.cluster.trial import NAMESPACE

ON_HEAD = {"node:__internal_head__": 0.001}  # actors of no CPU are put anywhere else, also on a node that may be taken away


def start_queue(name: str, ended: dict[str, dict[str, Any]], lost: dict[str, int]) -> Any:
    """The queue's actor. It takes no CPU; its many waiting calls are coroutines."""
    actor = ray.remote(num_cpus=0, resources=ON_HEAD, max_concurrency=10_000)(Queue)
    return actor.options(name=name, namespace=NAMESPACE).remote(ended, lost)


def start_lanes(count: int, config: LaneConfig, storage: Path) -> list[Any]:
    """Start `count` lanes; each returned reference is ready when its lane has ended, with a LaneLostError if it cannot run."""
    lasting = {"max_restarts": -1, "max_task_retries": -1}
    keeper = ray.remote(num_cpus=0, resources=ON_HEAD, max_concurrency=count, **lasting)(_Keeper).remote(config, str(storage))
    return [keeper.keep.remote(index) for index in range(count)]


class _Keeper:
    """The actor that keeps all lanes up, a thread each. Not the driver: a thread of it that still waits for a worker
    group when Ray is shut down would take the process with it."""

    def __init__(self, config: LaneConfig, storage: str) -> None:
        self.config, self.storage = config, storage
        self.starts = itertools.count()

    def keep(self, index: int) -> None:
        """Run lane `index` until the queue closes, with new workers whenever they are lost."""
        queue = ray.get_actor(self.config.queue, namespace=NAMESPACE)
        while True:
            try:
                self._trainer(index).fit()
                return
            except (TrainingFailedError, RayError) as error:
                reason = loss_reason(error)
            if not ray.get(queue.lost.remote(index, reason)):
                raise LaneLostError(f"lane {index} was lost again and again before it took up a run; the last time: {reason}")

    def _trainer(self, index: int) -> TorchTrainer:
        """A worker group of its own for every start: what ended the last one may have been Ray Train's controller."""
        config, cuda = self.config, self.config.gpus_per_worker > 0
        resources = {"CPU": 1.0, **({"GPU": config.gpus_per_worker} if cuda else {})}
        return TorchTrainer(
            lane_loop,
            train_loop_config={"lane": index, **asdict(config)},
            torch_config=TorchConfig(backend="nccl" if cuda else "gloo"),
            scaling_config=ray.train.ScalingConfig(num_workers=config.workers, use_gpu=cuda, resources_per_worker=resources),
            run_config=ray.train.RunConfig(
                name=f"lane{index}-{os.getpid()}-{next(self.starts)}",
                storage_path=self.storage,
                failure_config=ray.train.FailureConfig(max_failures=0),
            ),
        )


def loss_reason(error: BaseException) -> str:
    """What ended a worker group, in one line: of several workers' errors that of the lowest rank."""
    who = ""
    while (cause := _cause(error)) is not None:
        if isinstance(error, WorkerGroupError):
            who = f"worker {min(error.worker_failures)}: "
        error = cause
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "Worker exit type" in line), lines[-1] if lines else "")  # of a dead actor's many
    return f"{who}{type(error).__name__}: {told[:200]}"


def _cause(error: BaseException) -> BaseException | None:
    """What Ray Train wraps in this error, if it is one of its wrappers."""
    if isinstance(error, WorkerGroupError):
        return error.worker_failures[min(error.worker_failures)]
    if isinstance(error, ControllerError):
        return error.controller_failure
    return getattr(error, "health_check_failure", None)
