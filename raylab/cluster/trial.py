"""A trial of Ray Tune: it only waits for a run that a lane executes. Imports nothing heavy, since every trial pays it.

`setup` does nothing: Tune also sets up actors for trials that it then gives to others. The first `step` submits; each
later one is the permission to pass the rung at which the run waits.
"""

import math
from typing import Any

import ray
from ray import tune

QUEUE, NAMESPACE = "queue", "raylab"
OBJECTIVE, PERCENT = "objective", "percent"


class Trial(tune.Trainable):
    """config: `request` (a plain raylab.search.study.Request), `metric`, `higher_is_better`, `queue` (actor name)."""

    def setup(self, config: dict[str, Any]) -> None:
        self.token: int | None = None
        self.now = config

    def step(self) -> dict[str, Any]:
        """Wait for the next rung or the end. Reports the objective (always minimised) and the percent of the run."""
        queue = ray.get_actor(self.now["queue"], namespace=NAMESPACE)
        key = self.now["request"]["key"]
        if self.token is None:
            self.queue, self.key = queue, key
            self.token = ray.get(queue.submit.remote(self.now["request"]))
        else:
            ray.get(queue.allow.remote(key, self.token))
        event = ray.get(queue.progress.remote(key, self.token))
        done = event["event"] == "end"
        return {
            OBJECTIVE: self._objective(event),
            PERCENT: 100 if done else round(100 * event["fraction"]),
            "state": event.get("state", "running"),
            "done": done,
        }

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
            ray.get(self.queue.release.remote(self.key, self.token))
        self.token = None

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Tune wants one; the run's own checkpoints are the lane's."""
        return {"key": self.now["request"]["key"]}

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass
