"""Lanes through real faults, and what is said of them."""

import contextlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
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

HANGS_S = 3.0  # for what hangs for certain
PATIENCE_S = 600.0  # for everything else: a busy machine is no fault
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


@dataclass(kw_only=True, slots=True)
class Story:
    """A study on one lane that went through every fault. stopped: pids of the workers whose start was made to hang. killed:
    the queues that were killed."""

    study: Study
    runner: LaneRunner
    hung: Path
    stopped: list[int] = field(default_factory=list)
    killed: list[Any] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def interfere(self, study: Study, live: Live) -> None:
        """Called a few times a second. What hangs is known here, so that only then is little patience right."""
        now = live.get(0, {})
        if now.get("state") == "starting" and not self.stopped:
            self.stopped.extend(_stop_workers())
        if now.get("key") == "slow" and now.get("position", 0) > 2 and not self.killed:
            self.killed.append(self.runner.queue)
            ray.kill(self.runner.queue)
        start_hangs = any(psutil.pid_exists(pid) for pid in self.stopped)
        run_hangs = self.hung.exists() and not study.runs["hangs"].losses
        self.runner.placement = replace(
            self.runner.placement,
            start_within_s=HANGS_S if start_hangs else PATIENCE_S, hang_after_s=HANGS_S if run_hangs else PATIENCE_S,
        )  # fmt: skip

    def of(self, event: str, key: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == event and e["key"] == key]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A start of Ray and of a lane takes many seconds, so that all tests look at the same lane."""
    folder = tmp_path_factory.mktemp("lanes")
    hung = folder / "hung"
    plugins = _plugins(folder / "mine", slow=SLOW, poison=POISON, hangs=HANGS.replace("ONCE", str(hung)))
    data = tiny.prepared(folder)
    study = Study(name=f"lanes-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    place = Placement(
        folder=folder / "study", lanes=1, plugins=(plugins,), checkpoint_every_s=0.0, start_within_s=PATIENCE_S,
        hang_after_s=PATIENCE_S, idle_after_s=PATIENCE_S,
    )  # fmt: skip
    place.folder.mkdir()
    with contextlib.closing(Ledger(place.folder)) as ledger:
        runner = LaneRunner(place, data.folder, study, ledger, on_change=lambda *now: told.interfere(*now))
        told = Story(study=study, runner=runner, hung=hung)
        with runner:
            runner.run([_request("slow"), _request("poison")])
            runner.run([_request("hangs"), _request("uniform")])
    told.events = read_events(ledger.path)
    return told


def test_a_start_that_hangs_is_given_up(story: Story) -> None:
    assert story.stopped
    assert not {e["pid"] for e in story.events if e["event"] == "worker"} & set(story.stopped), "what hung never came up"


def test_a_queue_that_is_killed_is_replaced(story: Story) -> None:
    """The run it knew goes on from its checkpoint."""
    assert story.killed
    assert story.study.runs["slow"].state == "finished"
    (restored,) = story.of("restored", "slow")
    assert restored["position"] > 0


def test_a_recipe_that_kills_its_lane_fails_and_the_lane_lives(story: Story) -> None:
    poison, fine = story.study.runs["poison"], story.study.runs["uniform"]
    assert poison.state == "failed"
    assert (poison.error or "").startswith("infrastructure: the lane was lost 3 times")
    assert [loss["attempt"] for loss in poison.losses] == list(range(1, ATTEMPTS + 1))
    assert fine.state == "finished" and not fine.losses


def test_a_run_that_hangs_goes_on_from_its_checkpoint(story: Story) -> None:
    hangs = story.study.runs["hangs"]
    assert hangs.state == "finished"
    (loss,) = hangs.losses
    assert loss["reason"].startswith("it hung: ")
    (restored,) = story.of("restored", "hangs")
    assert restored["attempt"] == 2
    assert restored["position"] == 3, "no step but the one that hung is done again"


def test_nothing_is_lost_or_run_twice(story: Story) -> None:
    for event in ("run", "end"):
        assert sorted(e["key"] for e in story.events if e["event"] == event) == ["hangs", "poison", "slow", "uniform"]


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
