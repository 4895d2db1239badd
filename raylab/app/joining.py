"""What is settled between a person and a cluster before a search takes it: consent, room, and nodes that can do the work."""

import contextlib
import sys
from collections.abc import Iterator

import ray

from raylab.cluster.connection import Cluster, can_ever_have, join
from raylab.cluster.diagnosis.cluster import check_nodes
from raylab.cluster.runner import Placement
from raylab.errors import UserError


def agreed() -> bool:
    """Whether the person at the terminal wants it done. The question goes beside the output, which may be a script's."""
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def check_room(cluster: Cluster, placement: Placement) -> None:
    """Raise UserError for more workers than there is room for in a cluster that does not grow."""
    workers, gpus = placement.lanes * placement.fewest_workers, placement.gpus_per_worker
    if cluster.grows or cluster.room(gpus) >= workers:
        return
    raise _no_room(placement, f"there is room for {cluster.room(gpus)}{_there(cluster, gpus)}")


@contextlib.contextmanager
def joined(cluster: Cluster, placement: Placement) -> Iterator[None]:
    """Be a driver of the cluster meanwhile. Raises UserError, before any compute, if its autoscaler says that it can never
    have as many workers as are asked for, or if a node of it can't do the work."""
    workers, gpus = placement.lanes * placement.fewest_workers, placement.gpus_per_worker
    if not can_ever_have(cluster, workers, gpus):
        raise _no_room(placement, f"its autoscaler cannot bring so many{_there(cluster, gpus)}")
    join(placement.address or cluster.address, log_level=placement.log_level)
    try:
        check_nodes(placement.place_of(placement.folder.parent))
        yield
    finally:
        ray.shutdown()


def _no_room(placement: Placement, reason: str) -> UserError:
    workers, gpus = placement.lanes * placement.fewest_workers, placement.gpus_per_worker
    kind = f"worker{'s' * (workers != 1)} of one core" + (f" and {gpus:g} GPU{'s' * (gpus != 1)}" if gpus else "")
    return UserError(
        f"the cluster at {placement.address} can't hold {workers} {kind} (--lanes {placement.lanes}, --workers-per-lane "
        f"{placement.fewest_workers}): {reason}. Give fewer, or another --gpus-per-worker."
    )


def _there(cluster: Cluster, gpus: float) -> str:
    return "; none of its nodes has a GPU" if gpus and not cluster.gpus else ""
