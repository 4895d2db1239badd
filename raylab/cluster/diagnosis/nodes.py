"""The nodes of a running Ray cluster, each asked by a small task of its own."""

import contextlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raylab.cluster.connection import check, join
from raylab.cluster.diagnosis import probe

ANSWER_S = 120.0  # a node's first task starts a process there, and may have to ask PyTorch for its GPUs


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A live node. facts: what probe.examine told there; None if it did not answer, and `trouble` says why."""

    name: str
    resources: dict[str, float]
    facts: dict[str, Any] | None
    trouble: str = ""


@contextlib.contextmanager
def joined(address: str) -> Iterator[None]:
    """Be a driver of the cluster at `address` for a while. Raises UserError in one line if it can't be joined."""
    check(address)
    join(address)
    try:
        yield
    finally:
        ray.shutdown()


def ask_nodes(packages: Sequence[str], meeting: str | None) -> list[Node]:
    """Every live node of the cluster that was joined, with what it tells of itself. Takes no CPU and no GPU there."""
    cloudpickle.register_pickle_by_value(probe)  # a node without raylab could not import it
    task = ray.remote(num_cpus=0, max_retries=0)(probe.examine)
    alive = [node for node in ray.nodes() if node["Alive"]]
    asked = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(packages, meeting)
        for node in alive
    ]
    answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ANSWER_S)
    return [_node(node, reference, reference in answered) for node, reference in zip(alive, asked, strict=True)]


def ray_version() -> str:
    """The Ray of this driver; a cluster of another version refuses to be joined."""
    return importlib.metadata.version("ray")


def _node(node: dict[str, Any], reference: Any, answered: bool) -> Node:
    name = f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})"
    resources = dict(node["Resources"])
    if not answered:
        return Node(name=name, resources=resources, facts=None, trouble=f"no answer within {ANSWER_S:.0f} s")
    try:
        return Node(name=name, resources=resources, facts=ray.get(reference))
    except ray.exceptions.RayError as error:
        return Node(name=name, resources=resources, facts=None, trouble=" ".join(str(error).split())[:300])
