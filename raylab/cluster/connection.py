"""Reaching Ray: a cluster at an address, or one started on this machine for one search.

What can be wrong with an address is found out by asking the cluster's own server directly. `ray.init` would try for 20 to
120 seconds where nobody listens, where something else does, or where a token is wrong, and then say that it failed.
"""

import contextlib
import json
import math
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray._private.grpc_utils import init_grpc_channel
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._private.services import canonicalize_bootstrap_address
from ray._private.utils import check_version_info
from ray.core.generated import (
    autoscaler_pb2,
    autoscaler_pb2_grpc,
    gcs_service_pb2,
    gcs_service_pb2_grpc,
    ray_client_pb2,
    ray_client_pb2_grpc,
)
from ray.exceptions import AuthenticationError

import raylab
from raylab.cluster.trial import NAMESPACE
from raylab.errors import UserError

ANSWER_S = 5.0  # for a cluster's server to say anything; it takes milliseconds
DECIDE_S = 20.0  # for an autoscaler to look at what it was asked; it does so every 5 s
CLIENT = "ray://"
_LIVE = (autoscaler_pb2.NodeStatus.RUNNING, autoscaler_pb2.NodeStatus.IDLE)
TOKEN_ADVICE = (
    "set RAY_AUTH_MODE=token here, and put the cluster's token (`ray get-auth-token` on its head shows it) into RAY_AUTH_TOKEN "
    "or ~/.ray/auth_token."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """A cluster that answers. nodes: the resources of each live one. grows: more may come; it has an autoscaler."""

    address: str
    nodes: tuple[dict[str, float], ...]
    grows: bool

    @property
    def gpus(self) -> float:
        """Those that are there now."""
        return sum(node.get("GPU", 0.0) for node in self.nodes)

    def room(self, gpus_per_worker: float) -> int:
        """How many workers of one core and so many GPUs the nodes that are there now can hold."""
        return sum(_fit(node, gpus_per_worker) for node in self.nodes)


def look(address: str) -> Cluster:
    """The cluster at `address` ("auto" or HOST:PORT), as it is now. Raises UserError in one line, within seconds, if there
    is none, if it asks for another token, or if it is of another Ray or Python."""
    where = _resolved(address)
    with _channel(where) as channel:
        _check_versions(channel, address)
        status = _asked(address, autoscaler_pb2_grpc.AutoscalerStateServiceStub(channel).GetClusterStatus,
                        autoscaler_pb2.GetClusterStatusRequest())  # fmt: skip
        grows = status.HasField("autoscaling_state") or _has_old_autoscaler(channel, address)
    live = [node for node in status.cluster_resource_state.node_states if node.status in _LIVE]
    return Cluster(
        address=where,
        nodes=tuple(dict(node.total_resources) for node in live),
        grows=grows,
    )


def check(address: str) -> None:
    """Raise UserError in one line, within seconds, if there is no cluster to be joined at `address`, which may be Ray Client's,
    ray://HOST:PORT."""
    if not address.startswith(CLIENT):
        look(address)
        return
    with _channel(address.removeprefix(CLIENT)) as channel:
        ping = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
        _asked(address, ray_client_pb2_grpc.RayletDriverStub(channel).ClusterInfo, ping, metadata=[("client_id", "raylab")])


def can_ever_have(cluster: Cluster, workers: int, gpus_per_worker: float) -> bool:
    """Whether the cluster can grow until it holds so many workers. Its autoscaler is asked for them, which makes it begin to
    start nodes if it can; what was asked for before is asked for again. True if it does not say."""
    if cluster.room(gpus_per_worker) >= workers:
        return True
    if not cluster.grows:
        return False
    with _channel(cluster.address) as channel:
        autoscaler = autoscaler_pb2_grpc.AutoscalerStateServiceStub(channel)
        state = autoscaler.GetClusterResourceState(autoscaler_pb2.GetClusterResourceStateRequest(), timeout=ANSWER_S)
        before = state.cluster_resource_state.cluster_resource_constraints
        _constrain(autoscaler, _constraint(workers, gpus_per_worker))
        try:
            return not _refused(autoscaler)
        finally:
            _constrain(autoscaler, before[0] if before else autoscaler_pb2.ClusterResourceConstraint())


def join(address: str, *, log_level: str = "critical") -> None:
    """Become a driver of a cluster that `look` found. Its workers get the raylab of this process, whatever they have
    installed: a worker of another version cannot be."""
    with shipped_code() as environment:
        join_with(address, environment, log_level=log_level)


def join_with(address: str, environment: dict[str, Any], *, log_level: str = "critical") -> None:
    """Become a driver, or a client, with this runtime environment. Raises UserError in one line if that fails."""
    try:
        ray.init(
            address=address, namespace=NAMESPACE, log_to_driver=log_level == "debug", logging_level=log_level.upper(),
            runtime_env=environment,
        )  # fmt: skip
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UserError(f"no cluster could be joined at {address}: {' '.join(str(error).split())[:300]}") from error


def start(*, workers: int, lanes: int, gpus_per_worker: float, log_level: str) -> None:
    """Start a Ray on this machine, for this process alone: it listens on loopback, and has just what the lanes take, so that a
    run never waits for a lane's share.

    A lane's worker group, its controller, the trials that wait for it and our two actors are more processes than Ray
    expects of so few cores; told so, it does not warn of them. What Ray keeps for a dashboard is not kept, as there is none.
    """
    log_to_driver = log_level == "debug"
    with _loopback():
        ray.init(
            address="local",  # without it Ray would join whatever cluster happens to run on this machine
            namespace=NAMESPACE, log_to_driver=log_to_driver, logging_level=log_level.upper(), include_dashboard=False,
            num_cpus=workers, num_gpus=math.ceil(workers * gpus_per_worker) or None,
            _system_config={
                "worker_maximum_startup_concurrency": workers + 2 * lanes + 3,
                "enable_metrics_collection": False, "task_events_report_interval_ms": 0,
            },
        )  # fmt: skip
    _end_needless(log_to_driver)


def _end_needless(log_to_driver: bool) -> None:
    """End the processes that Ray starts on every head and that have nothing to do on this one: the autoscaler, the
    dashboard's server, which was not asked for, and, unless this process shows the workers' logs, what sends them to it.
    They would take 160 MiB, and a hundredth of a core that a worker computes on."""
    head = ray_worker._global_node
    head.kill_monitor(check_alive=False)
    head.kill_dashboard(check_alive=False)
    if not log_to_driver:
        head.kill_log_monitor(check_alive=False)


@contextlib.contextmanager
def shipped_code() -> Iterator[dict[str, Any]]:
    """The runtime environment in which workers import the raylab of this process.

    As a working directory: beside mere modules Ray would let them look in the driver's folders first, and another machine may
    have another raylab in a folder of the same name. What `raylab submit` sent has one, with raylab in it.
    """
    job = json.loads(os.environ.get(RAY_JOB_CONFIG_JSON_ENV_VAR) or "{}")
    if (job.get("runtime_env") or {}).get("working_dir"):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="raylab-code-") as folder:
        copy_code(Path(folder))
        yield {"working_dir": folder}


def copy_code(folder: Path) -> None:
    """Put the raylab of this process into `folder`, as it is imported here."""
    shutil.copytree(Path(raylab.__file__).parent, folder / "raylab", ignore=shutil.ignore_patterns("__pycache__"))


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Let a Ray that is started meanwhile listen on 127.0.0.1 alone, as it does by itself on macOS: on Linux it would take
    even an address of loopback for the machine's own, so that others could reach it."""
    known = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = known


# --- asking a cluster's server ----------------------------------------------------------------------------------


def _resolved(address: str) -> str:
    """HOST:PORT. "auto" is RAY_ADDRESS, or else what was started last on this machine."""
    try:
        found = canonicalize_bootstrap_address(address)
    except (ValueError, OSError) as error:
        raise UserError(
            f"--address {address} is no address ({error}). Expected auto, HOST:PORT (a cluster's own port, usually 6379) or "
            "ray://HOST:PORT (Ray Client's, usually 10001)."
        ) from error
    if found is None:
        raise UserError("--address auto: no Ray runs on this machine. Start one (`ray start --head`), or give HOST:PORT.")
    return str(found)


@contextlib.contextmanager
def _channel(where: str) -> Iterator[Any]:
    with contextlib.closing(init_grpc_channel(where)) as channel:
        yield channel


def _asked(address: str, call: Any, request: Any, **options: Any) -> Any:
    """The answer; UserError for what is no answer."""
    try:
        return call(request, timeout=ANSWER_S, **options)
    except AuthenticationError as error:
        raise UserError(f"RAY_AUTH_MODE asks for a token, and there is none here: {TOKEN_ADVICE}") from error
    except grpc.RpcError as error:
        raise _no_answer(address, error) from error


def _no_answer(address: str, error: grpc.RpcError) -> UserError:
    code, details = error.code(), " ".join(str(error.details()).split())
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return UserError(f"the cluster at {address} refuses the token of this process, or its lack of one: {TOKEN_ADVICE}")
    if code == grpc.StatusCode.UNIMPLEMENTED:
        other = "the cluster's own port, usually 6379" if address.startswith(CLIENT) else "ray://HOST:PORT for Ray Client's port"
        return UserError(f"what answers at {address} is another server. Give {other}.")
    if "HTTP/2" in details:
        return UserError(f"what answers at {address} is a web server. For Ray's dashboard: raylab submit --address http://...")
    reason = (
        f"no answer within {ANSWER_S:.0f} s"
        if code == grpc.StatusCode.DEADLINE_EXCEEDED
        else details.rsplit(": ", 1)[-1].rstrip("]")
    )
    return UserError(f"nobody answers at {address} ({reason}). Is the cluster up, and its port open to this machine?")


def _stored(channel: Any, address: str, key: bytes, namespace: bytes = b"") -> Any:
    """What the cluster's own key-value store holds, from JSON; an empty mapping if nothing."""
    found = _asked(
        address,
        gcs_service_pb2_grpc.InternalKVGcsServiceStub(channel).InternalKVGet,
        gcs_service_pb2.InternalKVGetRequest(namespace=namespace, key=key),
    )
    return json.loads(found.value or "{}")


def _has_old_autoscaler(channel: Any, address: str) -> bool:
    """Whether Ray's first autoscaler tends to the cluster. Where nobody told it of kinds of nodes, it makes up one for each."""
    report = _stored(channel, address, b"__autoscaling_status").get("autoscaler_report") or {}
    return any(not kind.startswith("node_") for kind in report.get("active_nodes") or {})


def _check_versions(channel: Any, address: str) -> None:
    there = _stored(channel, address, b"CLUSTER_METADATA", b"cluster")
    try:
        check_version_info(there, address)
    except RuntimeError as error:
        versions = "Ray {ray_version} and Python {python_version}"
        raise UserError(
            f"the cluster at {address} is of {versions.format(**there)}, this machine of {versions.format(**_here())}; they must "
            "be the same. Install those of the cluster here, or let the search run there: `raylab submit`."
        ) from error


def _here() -> dict[str, str]:
    return {"ray_version": ray.__version__, "python_version": platform.python_version()}


# --- asking its autoscaler --------------------------------------------------------------------------------------


def _fit(node: dict[str, float], gpus_per_worker: float) -> int:
    rooms = [node.get("CPU", 0.0)] + ([node.get("GPU", 0.0) / gpus_per_worker] if gpus_per_worker else [])
    return int(min(rooms) + 1e-6)


def _constraint(workers: int, gpus_per_worker: float) -> Any:
    bundle = {"CPU": 1.0, **({"GPU": gpus_per_worker} if gpus_per_worker else {})}
    asked = autoscaler_pb2.ResourceRequestByCount(request=autoscaler_pb2.ResourceRequest(resources_bundle=bundle), count=workers)
    return autoscaler_pb2.ClusterResourceConstraint(resource_requests=[asked])


def _constrain(autoscaler: Any, constraint: Any) -> None:
    request = autoscaler_pb2.RequestClusterResourceConstraintRequest(cluster_resource_constraint=constraint)
    autoscaler.RequestClusterResourceConstraint(request, timeout=ANSWER_S)


def _refused(autoscaler: Any) -> bool:
    """Does the autoscaler say of what it was just asked for that it can never be?"""
    asked = autoscaler.GetClusterStatus(autoscaler_pb2.GetClusterStatusRequest(), timeout=ANSWER_S)
    seen = asked.cluster_resource_state.cluster_resource_state_version
    deadline = time.monotonic() + DECIDE_S
    while time.monotonic() < deadline:
        state = autoscaler.GetClusterStatus(autoscaler_pb2.GetClusterStatusRequest(), timeout=ANSWER_S).autoscaling_state
        if state.last_seen_cluster_resource_state_version > seen:
            return bool(state.infeasible_cluster_resource_constraints)
        time.sleep(0.5)
    return False
