"""MLflow's server as a child process on loopback: the UI over a store, and what tests cut off and bring back."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from raylab.errors import UserError

HOST = "127.0.0.1"
START_S = 120.0


class Server:
    """`mlflow server` over the store at `backend_uri`. Use as a context manager: it is up inside, and gone after."""

    def __init__(self, backend_uri: str, artifact_root: Path, port: int, log: Path) -> None:
        self.url, self.log = f"http://{HOST}:{port}", log
        self._command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend_uri, "--host", HOST, "--port", str(port),
            "--artifacts-destination", str(artifact_root.resolve()), "--workers", "1",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers. Raises UserError with the end of its log if it does not."""
        # Without job execution it is two processes and half a gigabyte, instead of ten and two.
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self._process is not None
        return self._process.wait()

    def stop(self) -> None:
        """End it and its workers, which are a process group of their own."""
        if self._process is None:
            return
        for sign, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self._process.pid, sign)
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                break
        self._process = None

    def kill(self) -> None:
        """End it as a crash would, with no chance to tidy up; `start` brings it back."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _wait_until_healthy(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while not answers(self.url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"MLflow's server did not start at {self.url}: {self._last_words()} (all of it in {self.log}).")
            time.sleep(0.2)

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"


def answers(url: str) -> bool:
    """Does an MLflow server answer at `url`?"""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def free_port(wanted: int | None) -> int:
    """`wanted`, or any free port of this machine. Raises UserError if the wanted one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            raise UserError(f"port {wanted} of {HOST} can't be had ({error.strerror}). Give another --port, or none.") from error
        return int(probe.getsockname()[1])
