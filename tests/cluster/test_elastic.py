"""An elastic lane: a lost node shrinks it, a new one grows it, and the run goes on from its checkpoint."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from raylab.cluster.runner import LaneRunner, Live, Placement
from raylab.search.ledger import Ledger, Study, read_events
from raylab.search.study import Request
from raylab.seeds import Seeds
from tests import tiny

LIMIT_S = 900.0  # far more than it takes: a failure says what did not happen
SLOW = """
import pathlib, time
from dataclasses import dataclass

from raylab.masking.policies.uniform import Uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow(Uniform):
    def draw(self, passages, rng, progress):
        if not pathlib.Path("HURRY").exists():
            time.sleep(0.4)
        return Uniform.draw(self, passages, rng, progress)
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head that takes no worker, and two nodes of one core."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.long
def test_a_lane_shrinks_and_grows_with_its_cluster(cluster: Cluster, tmp_path: Path) -> None:
    plugins, hurry = tmp_path / "mine", tmp_path / "hurry"
    (plugins / "masking" / "policies").mkdir(parents=True)
    (plugins / "masking" / "policies" / "slow.py").write_text(SLOW.replace("HURRY", str(hurry)))
    data = tiny.prepared(tmp_path)
    study = Study(name=f"elastic-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    place = Placement(
        folder=tmp_path / "study", lanes=1, workers_per_lane=(1, 2), address=cluster.address, plugins=(str(plugins),),
        checkpoint_every_s=0.0, resize_every_s=2.0,
    )  # fmt: skip
    place.folder.mkdir()
    at: list[int] = [0]

    def hear(study: Study, live: Live) -> None:
        at[0] = live.get(0, {}).get("position", 0)

    request = _request()
    with (
        contextlib.closing(Ledger(place.folder)) as ledger,
        LaneRunner(place, data.folder, study, ledger, on_change=hear) as runner,
    ):
        runner.queue.submit.remote(request.plain())
        workers = _Workers(ledger.path)
        _until(lambda: workers.now() == 2 and at[0] >= 2, "two workers did not take it up")

        cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
        _until(lambda: workers.now() == 1 and at[0] > workers.lost()["position"], "one worker did not go on with it")

        cluster.add_node(num_cpus=1)
        _until(lambda: workers.now() == 2 and at[0] > workers.lost()["position"], "two workers did not go on with it")
        hurry.touch()
        runner.run([request])

    run = study.runs[request.key]
    assert run.state == "finished", run.error
    shrunk, *grown = run.losses
    assert shrunk["fault"] and not any(loss["fault"] for loss in grown)
    assert grown and grown[-1]["reason"] == "the lane is resized to 2 workers"
    restored = [event["position"] for event in read_events(ledger.path) if event["event"] == "restored"]
    assert len(restored) == len(run.losses)
    for loss, position in zip(run.losses, restored, strict=True):
        assert position >= loss["position"] - 1, "no more is done again than since the last checkpoint"


class _Workers:
    """How many workers the lane has, as its ledger tells it."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger

    def lost(self) -> dict[str, Any]:
        """The latest loss."""
        return [event for event in read_events(self.ledger) if event["event"] == "lost"][-1]

    def now(self) -> int:
        """Those that joined since the lane was lost, or resized, the last time; none before they take up the run."""
        count = 0
        for event in read_events(self.ledger):
            if event["event"] == "lost":
                count = 0
            elif event["event"] == "worker":
                count += 1
        return count


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < LIMIT_S, otherwise
        time.sleep(0.25)


class _Slow(Request):
    """A run by a policy that the lanes know, and this process does not."""

    __slots__ = ()

    def plain(self) -> dict[str, Any]:
        plain = Request.plain(self)
        plain["recipe"]["stages"][0]["policy"]["name"] = "slow"
        return plain


def _request() -> Request:
    recipe = tiny.recipe(pretrain_steps=150)
    return _Slow(recipe=recipe, seeds=Seeds.of(0, 0), role="baseline", replicate=0, key="slow", label="slow")
