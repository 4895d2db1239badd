"""A trial of Ray Tune: it only waits for a run that a lane executes. Imports nothing heavy, since every trial pays it.

`setup` does nothing: Tune also sets up actors for trials that it then gives to others. The first `step` submits; each
later one is the permission to pass the rung at which the run waits.
"""

import contextlib
import math
import time
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayActorError

from raylab.search.ledger import infeasible

QUEUE, NAMESPACE = "queue", "raylab"
OBJECTIVE, PERCENT, INFEASIBLE = "objective", "percent", "infeasible"
ANOTHER_QUEUE_S = 60.0  # to wait for a queue in the place of one that was lost


class Trial(tune.Trainable):
    """config: `request` (a plain raylab.search.study.Request), `metric`, `higher_is_better`, `queue` (actor name)."""

    def setup(self, config: dict[str, Any]) -> None:
        self.token: int | None = None
        self.queue: Any = None
        self.now = config

    def step(self) -> dict[str, Any]:
        """Wait for the next rung or the end. Reports the objective (always minimised) and the percent of the run."""
        event = self._event()
        done = event["event"] == "end"
        return {
            OBJECTIVE: self._objective(event),
            PERCENT: 100 if done else round(100 * event["fraction"]),
            "state": event.get("state", "running"),
            INFEASIBLE: done and infeasible(event["state"], event.get("error")),
            "done": done,
        }

    def _event(self) -> dict[str, Any]:
        """What comes next of the run. A queue that is lost is asked for anew: the driver starts another."""
        lost_at = None
        while True:
            try:
                return self._ask()
            except (RayActorError, ValueError):  # it is lost; there is none of that name
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > ANOTHER_QUEUE_S:
                    raise
            time.sleep(1.0)

    def _ask(self) -> dict[str, Any]:
        queue = ray.get_actor(self.now["queue"], namespace=NAMESPACE)
        key = self.now["request"]["key"]
        if self.token is None or queue != self.queue:
            self.queue, self.key = queue, key
            self.token = ray.get(queue.submit.remote(self.now["request"]))
        else:
            ray.get(queue.allow.remote(key, self.token))
        event: dict[str, Any] = ray.get(queue.progress.remote(key, self.token))
        return event

    def _objective(self, event: dict[str, Any]) -> float:
        value = (event.get("metrics") or {}).get(f"dev_{self.now['metric']}")
        if value is None or not math.isfinite(value) or event.get("state", "finished") not in ("finished", "pruned"):
            return math.inf
        return -value if self.now["higher_is_better"] else float(value)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The actor goes to another trial; with actor reuse this is the only notice that the last one was stopped."""
        self.cleanup()
        self.now = new_config
        return True

    def cleanup(self) -> None:
        if self.token is not None:
            with contextlib.suppress(RayActorError):
                ray.get(self.queue.release.remote(self.key, self.token))
        self.token = None

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Tune wants one; the run's own checkpoints are the lane's."""
        return {"key": self.now["request"]["key"]}

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass
