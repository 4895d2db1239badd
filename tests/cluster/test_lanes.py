"""Lanes through real faults, and what is said of them."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import ray
from ray.exceptions import ActorDiedError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from raylab.cluster.lanes import loss_reason
from raylab.cluster.queue import ATTEMPTS
from raylab.cluster.runner import LaneRunner, Live, Placement
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
SLOW = f"""{BEGIN}
        time.sleep(0.4)
        return Uniform.draw(self, passages, rng, progress)
"""
HANGS = f"""{BEGIN}
        once = pathlib.Path("ONCE")
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
    plugins = _plugins(tmp_path / "mine", poison=POISON, hangs=HANGS.replace("ONCE", str(tmp_path / "hung")))
    data = tiny.prepared(tmp_path)
    study = Study(name=f"lanes-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    place = Placement(folder=tmp_path / "study", lanes=1, plugins=(plugins,), checkpoint_every_s=0.0, hang_after_s=15.0)
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


def test_a_start_that_hangs_and_a_queue_that_is_killed(tmp_path: Path) -> None:
    """Both are started anew, and nothing is lost or run twice."""
    data = tiny.prepared(tmp_path)
    study = Study(name=f"lanes-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    place = Placement(
        folder=tmp_path / "study", lanes=1, plugins=(_plugins(tmp_path / "mine", slow=SLOW),), checkpoint_every_s=0.0,
        start_within_s=15.0, idle_after_s=600.0,
    )  # fmt: skip
    place.folder.mkdir()
    requests = [_request(name) for name in ("slow", "uniform")]
    stopped: list[int] = []
    killed: list[Any] = []

    def interfere(study: Study, live: Live) -> None:
        now = live.get(0, {})
        if now.get("state") == "starting" and not stopped:
            stopped.extend(_stop_workers())
        if now.get("position", 0) > 2 and not killed:
            killed.append(runner.queue)
            ray.kill(runner.queue)

    with contextlib.closing(Ledger(place.folder)) as ledger:
        runner = LaneRunner(place, data.folder, study, ledger, on_change=interfere)
        with runner:
            runner.run(requests)
    assert stopped and killed
    events = read_events(ledger.path)
    for event in ("run", "end"):
        assert sorted(e["key"] for e in events if e["event"] == event) == ["slow", "uniform"]
    assert {run.state for run in study.runs.values()} == {"finished"}
    assert not {e["pid"] for e in events if e["event"] == "worker"} & set(stopped), "what hung never came up"
    assert [e["position"] for e in events if e["event"] == "restored"] != [0], "it went on from its checkpoint"


def _plugins(folder: Path, **policies: str) -> str:
    """A folder of plugins with these policies, by name."""
    place = folder / "masking" / "policies"
    place.mkdir(parents=True)
    for name, code in policies.items():
        (place / f"{name}.py").write_text(code)
    return str(folder)


def _stop_workers() -> list[int]:
    """Stop, so that they do nothing and never end, the workers that this process's Ray started."""
    ours = psutil.Process().children(recursive=True)
    workers = [process for process in ours if "RayTrainWorker" in " ".join(process.cmdline())]
    for process in workers:
        process.suspend()
    return [process.pid for process in workers]


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
