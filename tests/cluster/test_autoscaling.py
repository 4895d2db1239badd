"""On a cluster that grows: nodes come for trials that wait, and go when none do."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import ray

from raylab.cluster.runner import LaneRunner, Live, Placement
from raylab.search.ledger import Study, read_events
from tests import tiny
from tests.cluster.growing import growing_cluster
from tests.search.small_study import conduct_in, states

LIMIT_S = 900.0  # far more than it takes: a failure says what did not happen


def test_nodes_come_for_waiting_trials_and_go_when_idle(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path)
    conduct, ledger = conduct_in(tmp_path / "study", data, trials=3, seeds=2)
    said: set[str] = set()

    def hear(study: Study, live: Live) -> None:
        said.update(lane["state"] for lane in live.values() if "state" in lane)

    with growing_cluster(nodes=2, idle_s=2.0) as address, contextlib.closing(ledger):
        place = Placement(folder=tmp_path / "study", lanes=2, address=address, idle_after_s=2.0)
        with LaneRunner(place, data.folder, conduct.study, ledger, on_change=hear) as runner, _Nodes() as nodes:
            runner.explore(conduct)
            assert max(nodes) == 2, "a node for each lane that trials waited for"
            _until(lambda: nodes[-1] == 0, "the nodes did not go while no run waited")
            nodes.clear()
            runner.run(conduct.due()[:1])
            assert max(nodes) == 1, "one run waited, one node came"
    assert states(conduct.study, "explore") == ["finished"] * 3
    ended = [event["key"] for event in read_events(ledger.path) if event["event"] == "end"]
    assert len(ended) == len(set(ended)) == 4
    assert "waiting for nodes" in said


class _Nodes(contextlib.AbstractContextManager[list[int]]):
    """How many nodes there are besides the head, four times a second."""

    def __enter__(self) -> list[int]:
        self.nodes: list[int] = [0]
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self.nodes

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.over.wait(0.25):
            self.nodes.append(sum(node["Alive"] for node in ray.nodes()) - 1)


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < LIMIT_S, otherwise
        time.sleep(0.25)
