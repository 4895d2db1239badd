"""Lanes through real faults, and what is said of them."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from ray.exceptions import ActorDiedError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from raylab.cluster.lanes import loss_reason
from raylab.cluster.queue import ATTEMPTS
from raylab.cluster.runner import LaneRunner, Placement
from raylab.search.ledger import Ledger, Study, read_events
from raylab.search.study import Request
from raylab.seeds import Seeds
from tests import tiny

BEGIN = """
import os, pathlib, signal, time
from dataclasses import dataclass

from raylab.masking.policies.uniform import Uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class Faulty(Uniform):
    def draw(self, passages, rng, progress):
"""
POISON = f"""{BEGIN}
        os.kill(os.getpid(), signal.SIGKILL)
"""
HANGS = f"""{BEGIN}
        once = pathlib.Path(__file__).with_suffix(".hung")
        if progress > 0.3 and not once.exists():
            once.touch()
            time.sleep(3600)
        return Uniform.draw(self, passages, rng, progress)
"""


def test_the_reason_of_a_loss_is_what_ray_train_wraps() -> None:
    dead = ActorDiedError()
    poll = WorkerHealthCheckFailedError("A worker health check failed.\nWorker info: Worker(...)", failure=dead)
    both = WorkerGroupError("two of them", {1: ValueError("second"), 0: poll})
    assert loss_reason(both).startswith("worker 0: ActorDiedError: ")
    assert loss_reason(ControllerError(RuntimeError("no\nplacement"))) == "RuntimeError: placement"
    assert "\n" not in loss_reason(both)


def test_a_recipe_that_kills_its_lane_fails_and_the_lane_lives(tmp_path: Path) -> None:
    """And one that hangs is killed, and goes on from its checkpoint."""
    plugins = tmp_path / "mine"
    folder = plugins / "masking" / "policies"
    folder.mkdir(parents=True)
    (folder / "poison.py").write_text(POISON)
    (folder / "hangs.py").write_text(HANGS)
    data = tiny.prepared(tmp_path)
    study = Study(name=f"lanes-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    place = Placement(folder=tmp_path / "study", lanes=1, plugins=(str(plugins),), checkpoint_every_s=0.0, hang_after_s=15.0)
    place.folder.mkdir()
    requests = {name: _request(name) for name in ("poison", "hangs", "uniform")}
    with contextlib.closing(Ledger(place.folder)) as ledger, LaneRunner(place, data.folder, study, ledger) as runner:
        for request in requests.values():
            runner.run([request])

    poison, hangs, fine = (study.runs[request.key] for request in requests.values())
    assert poison.state == "failed"
    assert (poison.error or "").startswith("infrastructure: the lane was lost 3 times")
    assert [loss["attempt"] for loss in poison.losses] == list(range(1, ATTEMPTS + 1))
    assert fine.state == "finished" and not fine.losses

    assert hangs.state == "finished"
    (loss,) = hangs.losses
    assert loss["reason"].startswith("it hung: ")
    (restored,) = [e for e in read_events(ledger.path) if e["event"] == "restored" and e["key"] == hangs.key]
    assert restored["attempt"] == 2
    assert restored["position"] == 3, "no step but the one that hung is done again"


class _Named(Request):
    """A run by a policy that the lanes know, and this process does not."""

    __slots__ = ()

    def plain(self) -> dict[str, Any]:
        plain = Request.plain(self)
        plain["recipe"]["stages"][0]["policy"]["name"] = self.label
        return plain


def _request(policy: str) -> Request:
    recipe, seeds = tiny.recipe(), Seeds.of(0, 0)
    return _Named(recipe=recipe, seeds=seeds, role="baseline", replicate=0, key=policy, label=policy)
