"""Reaching a cluster, and every way in which that fails, told in one line within seconds."""

import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from raylab.cluster import connection
from raylab.cluster.connection import Cluster, can_ever_have, check, join, look
from raylab.errors import UserError
from tests.cluster.growing import GrowingCluster
from tests.cluster.heads import Head, head

TOKEN = "b1946ac92492d2347c6235b4d2611184"


@pytest.fixture(scope="module")
def plain() -> Iterator[Head]:
    """A cluster of one node with two cores, without an autoscaler."""
    with head(cpus=2) as started:
        yield started


@pytest.fixture
def silent() -> Iterator[str]:
    """An address at which connections are taken, and never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(autouse=True)
def as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes an address of loopback for the machine's own; a test's servers listen on loopback alone."""
    monkeypatch.setattr(connection, "canonicalize_bootstrap_address", lambda address: address)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """The path of a socket in pytest's own folders would be too long."""
    with tempfile.TemporaryDirectory(prefix="grow-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def refusal(address: str) -> str:
    with pytest.raises(UserError) as told:
        check(address)
    text = str(told.value)
    assert "\n" not in text
    return text


def test_a_cluster_says_what_it_has(plain: Head) -> None:
    cluster = look(plain.address)
    assert not cluster.grows
    assert cluster.gpus == 0
    assert (cluster.room(0), cluster.room(1)) == (2, 0)
    assert can_ever_have(cluster, 2, 0.0)
    assert not can_ever_have(cluster, 3, 0.0)
    check(plain.client)


def test_workers_fit_by_cores_and_by_shares_of_gpus() -> None:
    cluster = Cluster(address="", nodes=({"CPU": 8, "GPU": 1}, {"CPU": 2, "GPU": 4}, {"CPU": 4}), grows=False)
    assert cluster.gpus == 5
    assert cluster.room(0) == 14
    assert cluster.room(1) == 1 + 2
    assert cluster.room(0.25) == 4 + 2
    assert cluster.room(0.1) == 8 + 2


def test_auto_where_no_ray_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "canonicalize_bootstrap_address", lambda address: None)
    assert "no Ray runs on this machine" in refusal("auto")


def test_what_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert "is no address" in refusal("nonsense")


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: nobody else takes it, and nobody answers
        address = f"127.0.0.1:{free.getsockname()[1]}"
        assert f"nobody answers at {address} (Connection refused)" in refusal(address)
        assert f"nobody answers at ray://{address} (Connection refused)" in refusal(f"ray://{address}")


def test_a_host_that_is_none() -> None:
    assert "nobody answers at no-such-host.invalid:6379" in refusal("no-such-host.invalid:6379")


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_something_that_never_answers(silent: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_S", 1.0)
    assert f"nobody answers at {scheme}{silent} (no answer within 1 s)" in refusal(scheme + silent)


def test_a_web_server() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert "is a web server" in refusal(f"127.0.0.1:{server.server_port}")
        server.shutdown()


def test_the_other_port(plain: Head) -> None:
    assert "Give ray://" in refusal(plain.client.removeprefix("ray://"))
    assert "usually 6379" in refusal(f"ray://{plain.address}")


@pytest.mark.parametrize("other", [{"ray_version": "2.9.0"}, {"python_version": "3.8.1"}])
def test_a_cluster_of_other_versions(plain: Head, other: dict[str, str]) -> None:
    known = _metadata(plain.address)
    _metadata(plain.address, {**known, **other})
    try:
        told = refusal(plain.address)
    finally:
        _metadata(plain.address, known)
    assert next(iter(other.values())) in told
    assert "this machine of Ray " in told and "raylab submit" in told


def test_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In processes of their own: Ray reads its token once."""
    script = "import sys; from raylab.cluster.connection import check\nfor a in sys.argv[1:]:\n try: check(a); print('ok')\n"
    script += " except Exception as e: print(type(e).__name__, e)"
    with head(environment={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}) as started:
        for mode, token, expected in (
            ("disabled", "", "refuses the token of this process, or its lack of one"),
            ("token", "another" * 5, "refuses the token of this process, or its lack of one"),
            ("token", "", "asks for a token, and there is none here"),
            ("token", TOKEN, "ok"),
        ):
            environment = {**os.environ, "RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": token, "HOME": str(tmp_path)}
            if not token:
                del environment["RAY_AUTH_TOKEN"]
            done = subprocess.run(
                [sys.executable, "-c", script, started.address, started.client],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            lines = done.stdout.splitlines()
            assert len(lines) == 2 and all(expected in line for line in lines), (mode, lines)
            assert not any(TOKEN in line or "another" in line.split("RAY_AUTH")[0] for line in lines if line != "ok")


def test_workers_get_the_raylab_of_the_driver(plain: Head) -> None:
    join(plain.address)
    try:
        file, template = ray.get(ray.remote(num_cpus=0)(_where_is_raylab).remote())
    finally:
        ray.shutdown()
    assert "working_dir_files" in file
    assert template  # files that are no Python go along, too


def _where_is_raylab() -> tuple[str, bool]:
    import raylab

    return raylab.__file__, (Path(raylab.__file__).parent / "search" / "report" / "templates" / "report.html").is_file()


def test_an_autoscaler_is_asked_what_it_can_bring(monkeypatch: pytest.MonkeyPatch, short_folder: Path) -> None:
    monkeypatch.setenv("RAY_enable_autoscaler_v2", "1")
    monkeypatch.setenv("RAY_CLOUD_INSTANCE_ID", "f" * 51 + "00000")
    monkeypatch.setenv("RAY_NODE_TYPE_NAME", "ray.head.default")
    kind = {"resources": {"CPU": 1, "object_store_memory": 1e8}, "node_config": {}, "min_workers": 0, "max_workers": 2}
    grown = _External({"CPU": 0}, {"worker": kind}, max_workers=2, idle_timeout_minutes=1)
    try:
        grown.start(short_folder)
        cluster = look(f"127.0.0.1:{grown.port}")
        assert cluster.grows and cluster.room(0) == 0
        assert not can_ever_have(cluster, 3, 0.0)
        assert not can_ever_have(cluster, 1, 1.0)
        assert can_ever_have(cluster, 2, 0.0)
    finally:
        grown.shutdown()


class _External(GrowingCluster):
    """Under the second autoscaler, which takes the pretended nodes' provider only from outside."""

    def _generate_config(self, *args: Any, **more: Any) -> dict[str, Any]:
        config = super()._generate_config(*args, **more)
        module = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
        return {**config, "provider": {**config["provider"], "type": "external", "module": module}}


LISTENING = """
import os, time
import psutil, ray
from raylab.cluster.connection import start
start(workers=1, lanes=1, gpus_per_worker=0.0, log_level="critical")
actor = ray.remote(num_cpus=0)(type("A", (), {"f": lambda self: 1})).remote()
ray.get(actor.f.remote())
time.sleep(3)  # the node's agents come up
session = ray._private.worker._global_node.get_session_dir_path()
me = psutil.Process()
mine = {me, *me.children(recursive=True)}
for process in psutil.process_iter():
    try:
        if process in mine or session in " ".join(process.cmdline()):
            print("runs", *process.cmdline())
            for at in process.net_connections("tcp"):
                if at.status == psutil.CONN_LISTEN:
                    print("listens", at.laddr.ip)
    except psutil.Error:
        pass
ray.shutdown()
"""


def test_a_ray_on_this_machine_listens_on_loopback_alone() -> None:
    done = subprocess.run([sys.executable, "-c", LISTENING], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    found = [line.removeprefix("listens ") for line in lines if line.startswith("listens ")]
    assert len(found) >= 4, done.stdout
    assert {address.removeprefix("::ffff:") for address in found} <= {"127.0.0.1", "::1"}
    needless = ("monitor.py", "log_monitor.py", "dashboard.py")
    assert not [line for line in lines if line.startswith("runs ") and any(f"/{name} " in line for name in needless)]


def _metadata(address: str, value: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the cluster says of its versions; with `value`, what it will say."""
    with init_grpc_channel(address) as channel:
        store = gcs_service_pb2_grpc.InternalKVGcsServiceStub(channel)
        place: dict[str, Any] = {"namespace": b"cluster", "key": b"CLUSTER_METADATA"}
        if value is not None:
            store.InternalKVPut(gcs_service_pb2.InternalKVPutRequest(**place, value=json.dumps(value).encode(), overwrite=True))
        return dict(json.loads(store.InternalKVGet(gcs_service_pb2.InternalKVGetRequest(**place)).value))
