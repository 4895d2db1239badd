"""A Ray cluster of several nodes on this machine, one of which can be lost."""

import contextlib
import os
from typing import Any

import psutil  # type: ignore[import-untyped]

HOST = "127.0.0.1"  # nothing listens beyond this machine


class Nodes:
    """A head without cores, and nodes of one core each. Use it as a context, in the main thread."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._orphans: list[psutil.Process] = []  # workers of lost nodes: they end by themselves, but a stopped one never does

    def __enter__(self) -> "Nodes":
        from ray.cluster_utils import Cluster

        _loopback()
        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **_QUIET})
        for _ in range(self.count):
            self._add()
        return self

    def __exit__(self, *exc_info: object) -> None:
        left = [*self._orphans, *(process for node in self._cluster.list_all_nodes() for process in _tree(node))]
        self._cluster.shutdown()
        end(left)

    @property
    def address(self) -> str:
        """For `--address`."""
        return str(self._cluster.address)

    def lose(self, pid: int) -> bool:
        """SIGKILL the raylet of the node on which a worker runs, and add another node. False if there is no such worker."""
        for node in self._cluster.worker_nodes:
            workers = _children(node)
            if pid in [process.pid for process in workers]:
                self._orphans.extend(workers)
                self._cluster.remove_node(node, allow_graceful=False)
                self._add()
                return True
        return False

    def _add(self) -> None:
        self._cluster.add_node(num_cpus=1, **_QUIET)


def _loopback() -> None:
    """Let the Ray of this process and of its children take 127.0.0.1 as it is given: on Linux it would put this machine's own
    address in its place, where others could reach the nodes, and where the nodes do not listen."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False  # Ray may have been imported before


_QUIET: dict[str, Any] = {"node_ip_address": HOST, "include_dashboard": False}


def _tree(node: Any) -> list[psutil.Process]:
    """A node's processes and all that they started: nobody else's, though this process started others, too."""
    found: list[psutil.Process] = []
    for info in (info for infos in node.all_processes.values() for info in infos):
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(info.process.pid)
            found += [top, *top.children(recursive=True)]
    return found


def _children(node: Any) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(psutil.Process(node.all_processes["raylet"][0].process.pid).children(recursive=True))
    return []


def end(processes: list[psutil.Process], patience_s: float = 5.0) -> None:
    """See to it that these are gone."""
    _, left = psutil.wait_procs(processes, timeout=patience_s)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=patience_s)
