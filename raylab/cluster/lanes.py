"""Lanes: long-lived Ray Train worker groups that execute run after run.

Starting a worker group costs seconds; a run on a warm one costs nothing beyond its steps (`raylab.cluster.attempt` says
what its workers do). A lost worker ends the group; the run it was at goes on from its checkpoint, on the next lane that
is free or on the same one with new workers.

A lane asks the queue whether it is wanted before it asks the cluster for workers: on a cluster that grows, machines come
for runs that wait, and go when their lane has been idle for long enough.

Who watches whom: Ray Train sees a worker die and ends its group; the lane's keeper then starts another. Ray restarts
the keeper. The queue notices a lane that tells nothing, at a run or while it starts (see LaneRunner, which kills it).
LaneRunner notices that the queue is lost, and starts another with new lanes.
"""

import itertools
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.exceptions import ActorDiedError, RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

from raylab.cluster.attempt import LaneConfig, LaneLostError, lane_loop
from raylab.cluster.queue import Queue
from raylab.cluster.roster import ROOM_S
from raylab.cluster.trial import NAMESPACE
from raylab.cluster.watch import Watch

ON_HEAD = {"node:__internal_head__": 0.001}  # actors of no CPU are put anywhere else, also on a node that may be taken away
# Of an elastic lane: Ray Train may still count a node that has just gone, and asks for fewer workers only after that
ELASTIC_ROOM_S = 15.0


def start_queue(
    name: str, ended: dict[str, dict[str, Any]], lost: dict[str, int], idle_after_s: float | None = None, seats: int = 1
) -> Any:
    """The queue's actor. It takes no CPU; its many waiting calls are coroutines."""
    actor = ray.remote(num_cpus=0, resources=ON_HEAD, max_concurrency=10_000)(Queue)
    return actor.options(name=name, namespace=NAMESPACE).remote(ended, lost, idle_after_s, seats)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lanes:
    """Lanes that were started. ended: a reference for each, ready when it has ended, with a LaneLostError if it cannot
    run. keeper: the actor that keeps them up; when it is killed, all that they consist of goes with it."""

    ended: list[Any]
    keeper: Any


def start_lanes(count: int, config: LaneConfig, storage: Path) -> Lanes:
    """Start `count` lanes, each of which asks for workers when the queue wants it."""
    lasting = {"max_restarts": -1, "max_task_retries": -1}
    keeper = ray.remote(num_cpus=0, resources=ON_HEAD, max_concurrency=count, **lasting)(_Keeper).remote(config, str(storage))
    return Lanes(ended=[keeper.keep.remote(index * config.seats) for index in range(count)], keeper=keeper)


def free_rooms() -> None:
    """Give back what lanes of this driver were given on the cluster, when none of them is left."""
    job = ray.get_runtime_context().get_job_id()
    for name, room in placement_group_table().items():
        if name.endswith(job) and any("CPU" in bundle for bundle in room["bundles"].values()):  # a trial's has none
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(name)))


class _Keeper:
    """The actor that keeps all lanes up, a thread each. Not the driver: a thread of it that still waits for a worker
    group when Ray is shut down would take the process with it."""

    def __init__(self, config: LaneConfig, storage: str) -> None:
        self.config, self.storage = config, storage
        self.starts = itertools.count()
        if ray.get_runtime_context().was_current_actor_reconstructed:
            free_rooms()  # the lanes of the process that was lost are gone with it
        room_s = ROOM_S if isinstance(config.workers, int) else ELASTIC_ROOM_S
        os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"  # a process a lane that takes 5 % of a core; lost is lost here
        os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(room_s)  # Ray Train hands it to its controllers

    def keep(self, index: int) -> None:
        """Run lane `index` whenever it is wanted until the queue closes, with new workers whenever they are lost."""
        queue = ray.get_actor(self.config.queue, namespace=NAMESPACE)
        while ray.get(queue.wanted.remote(index)):
            if (room := ray.get(queue.room.remote(index))) is not None:
                remove_placement_group(room)  # of a controller that was killed: Ray keeps it until the driver ends
            try:
                self._trainer(index).fit()
            except (TrainingFailedError, RayError) as error:
                if no_room(error):
                    continue  # whoever is wanted by now: the runs that waited may be with other lanes
                reason = loss_reason(error)
                if not ray.get(queue.lost.remote(index, reason, not announced(error))):
                    raise LaneLostError(
                        f"lane {index} was lost again and again before it took up a run; the last time: {reason}"
                    ) from None

    def _trainer(self, index: int) -> TorchTrainer:
        """A worker group of its own for every start: what ended the last one may have been Ray Train's controller."""
        config, cuda = self.config, self.config.gpus_per_worker > 0
        resources = {"CPU": 1.0, **({"GPU": config.gpus_per_worker} if cuda else {})}
        return _Trainer(
            lane_loop,
            train_loop_config={"lane": index, **asdict(config)},
            torch_config=TorchConfig(backend="nccl" if cuda else "gloo"),
            scaling_config=ray.train.ScalingConfig(
                num_workers=config.workers, use_gpu=cuda, resources_per_worker=resources,
                elastic_resize_monitor_interval_s=config.resize_every_s,
            ),
            run_config=ray.train.RunConfig(
                name=f"lane{index}-{os.getpid()}-{next(self.starts)}",
                storage_path=self.storage,
                failure_config=ray.train.FailureConfig(
                    max_failures=0, max_preemption_failures=0, controller_failure_limit=0  # all is told to the queue
                ),
                callbacks=[Watch(config.queue, index)],
            ),
        )  # fmt: skip


class _Trainer(TorchTrainer):
    """Without two of the processes that Ray Train starts beside every group of workers: one would hand out Ray's data sets,
    of which there are none, the other give back the room of a controller that was killed, which the keeper does. Each
    of them wakes 80 times a second, on the cores that the workers compute on."""

    def _create_default_callbacks(self) -> list[Any]:
        needless = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, needless)]


def no_room(error: BaseException) -> bool:
    """Was there no room for the workers of a group, for so long that Ray Train gave it up?"""
    return isinstance(error, ControllerError) and isinstance(error.controller_failure, WorkerGroupStartupTimeoutError)


def announced(error: BaseException) -> bool:
    """Was a worker lost with a machine that had been announced to go?"""
    causes = [getattr(cause, "health_check_failure", cause) for cause in getattr(error, "worker_failures", {}).values()]
    return any(isinstance(cause, ActorDiedError) and cause.preempted for cause in causes)


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
