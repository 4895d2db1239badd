"""A Ray head of its own for a test: a process that is started, waited for, and ended with all that belongs to it."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

START_S = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """address: of the cluster; client: Ray Client's; dashboard: where jobs are submitted; folder: its temporary files."""

    address: str
    client: str
    dashboard: str
    folder: Path
    pid: int


@contextlib.contextmanager
def head(
    *arguments: str, cpus: int = 1, dashboard: bool = False, port: int | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Head]:
    """`ray start --head` on free ports, with these further arguments and environment variables."""
    ports = [port or free_port(), free_port(), free_port()]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # a job's `python` is this one
    # A socket's path must be short
    with tempfile.TemporaryDirectory(prefix="head-", ignore_cleanup_errors=True) as folder:
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={ports[0]}",
            f"--ray-client-server-port={ports[1]}", f"--dashboard-port={ports[2]}", "--dashboard-host=127.0.0.1",
            "--dashboard-agent-listen-port=0",  # the usual one may be another Ray's, and without it no job is taken
            f"--include-dashboard={str(dashboard).lower()}", f"--num-cpus={cpus}", f"--temp-dir={folder}",
            "--object-store-memory=100000000", "--min-worker-port=0", "--max-worker-port=0", *arguments,
        ]  # fmt: skip
        log = Path(folder) / "head.log"
        with open(log, "wb") as out:
            started = subprocess.Popen(
                command, env={**os.environ, "PATH": path, **(environment or {})}, stdout=out, stderr=out, start_new_session=True
            )
        try:
            wait_for_head(started, log)
            _wait_for_port(ports[1])
            yield Head(
                address=f"127.0.0.1:{ports[0]}", client=f"ray://127.0.0.1:{ports[1]}",
                dashboard=f"http://127.0.0.1:{ports[2]}", folder=Path(folder), pid=started.pid,
            )  # fmt: skip
        finally:
            end(started.pid, folder)
            started.wait()


def end(pid: int, folder: str | Path) -> None:
    """Kill a head and its processes: its descendants, and those that name its folder."""
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        tree = top.children(recursive=True)
        others = [process for process in psutil.process_iter() if str(folder) in _title(process)]
        for process in {top, *tree, *others}:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_head(started: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it says that it stands. log: what it prints. Raises RuntimeError with the end of that if it does not."""
    began = time.monotonic()
    while "Ray runtime started" not in log.read_text(errors="replace"):
        if started.poll() is not None or time.monotonic() - began > START_S:
            raise RuntimeError(f"the head did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


def _wait_for_port(port: int) -> None:
    """Ray Client's server comes up a little later than the head."""
    began = time.monotonic()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            return
        except OSError:
            if time.monotonic() - began > START_S:
                raise
        time.sleep(0.1)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
