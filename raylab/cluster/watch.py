"""What the queue hears of a lane's workers before they can speak, from the actor of Ray Train that starts them."""

from typing import Any

import ray
from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
from ray.util import get_current_placement_group

from raylab.cluster.trial import NAMESPACE

ANSWER_S = 30.0


class Watch(WorkerGroupCallback, ControllerCallback):
    """Tells the queue when workers are asked for, when there was room for them, and when an elastic lane is resized.

    queue: name of its actor. Ray Train calls the methods in its controller; they must not fail, or the lane does.
    """

    def __init__(self, queue: str, lane: int) -> None:
        self.queue, self.lane = queue, lane
        self.stands = False
        self.resize: int | None = None

    def before_worker_group_start(self, worker_group_context: Any) -> None:
        """Workers are asked for; it may take long until there is room for them."""
        self._queue().gathering.remote(self.lane, ray.get_runtime_context().current_actor)

    def before_init_train_context(self, workers: list[Any]) -> dict[str, list[Any]]:
        """Their processes are there."""
        self.stands = True
        self._queue().gathered.remote(self.lane, [worker.actor for worker in workers])
        self._queue().placed.remote(self.lane, workers[0].execute_async(get_current_placement_group))
        return {}

    def before_controller_execute_resize_decision(self, resize_decision: Any) -> None:
        """A group is to be started; if there is one, in its place."""
        self.resize = resize_decision.num_workers if self.stands else None

    def after_worker_group_shutdown(self, worker_group_context: Any) -> None:
        """The earlier group is gone: only now may another lane take up its run."""
        self.stands = False
        if self.resize is not None:
            ray.get(self._queue().resized.remote(self.lane, self.resize), timeout=ANSWER_S)
            self.resize = None

    def _queue(self) -> Any:
        return ray.get_actor(self.queue, namespace=NAMESPACE)
