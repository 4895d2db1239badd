"""A Ray cluster on this machine whose nodes come and go: Ray's autoscaler over its provider of pretended nodes."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import AutoscalingCluster

from tests.cluster.heads import end, free_port, wait_for_head


class GrowingCluster(AutoscalingCluster):
    """Ray's own class for such tests, which stops every Ray on the machine when it starts and when it ends; this one
    knows its own processes. It also writes the configuration that Ray's wheel leaves out."""

    def _generate_config(
        self, head_resources: dict[str, float], worker_node_types: dict[str, Any], autoscaler_v2: bool = False, **more: Any
    ) -> dict[str, Any]:
        self.port = free_port()
        address = f"127.0.0.1:{self.port}"  # else the provider takes port 6379 for granted
        provider = {"type": "fake_multinode", "use_node_id_as_ip": True, "disable_node_updaters": True,
                    "disable_launch_config_check": True, "gcs_address": address}  # fmt: skip
        head = {"resources": dict(head_resources), "node_config": {}, "max_workers": 0}
        lists = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands", "rsync_filter",
                 "head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files", "rsync_exclude")  # fmt: skip
        return {
            "cluster_name": "growing", "max_workers": 4, "provider": provider, "auth": {}, "docker": {}, "file_mounts": {},
            "available_node_types": {**worker_node_types, "ray.head.default": head}, "head_node_type": "ray.head.default",
            "upscaling_speed": 1.0, "idle_timeout_minutes": 1, "file_mounts_sync_continuously": False,
            **{name: [] for name in lists}, **more,
        }  # fmt: skip

    def start(self, folder: Path) -> None:  # type: ignore[override]
        """Start the head, and return when it stands."""
        self.folder, config, log = folder, folder / "config.json", folder / "head.log"
        config.write_text(json.dumps(self._config))
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={self.port}",
            f"--autoscaling-config={config}", f"--num-cpus={self._head_resources['CPU']}", "--include-dashboard=false",
            f"--temp-dir={folder}", "--object-store-memory=100000000", f"--ray-client-server-port={free_port()}",
            "--node-ip-address=127.0.0.1",
        ]  # fmt: skip
        environment = {**os.environ, "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
        with open(log, "wb") as out:
            self.head = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
        wait_for_head(self.head, log)

    def shutdown(self) -> None:
        """End the cluster's own processes: the head's descendants, and those that name its folder."""
        end(self.head.pid, self.folder)
        self.head.wait()


@contextlib.contextmanager
def growing_cluster(nodes: int, idle_s: float) -> Iterator[str]:
    """A head that takes no worker, and up to so many nodes of one core, each gone when idle for so long; its address."""
    pytest.importorskip("ray.autoscaler._private.fake_multi_node.node_provider", reason="Ray's pretended nodes are missing")
    resources = {"CPU": 1, "object_store_memory": 100_000_000}
    kind = {"resources": resources, "node_config": {}, "min_workers": 0, "max_workers": nodes}
    cluster = GrowingCluster({"CPU": 0}, {"worker": kind}, max_workers=nodes, idle_timeout_minutes=idle_s / 60)
    with tempfile.TemporaryDirectory(prefix="grow-", ignore_cleanup_errors=True) as folder:  # a socket's path must be short
        try:
            cluster.start(Path(folder))
            yield f"127.0.0.1:{cluster.port}"
        finally:
            cluster.shutdown()
