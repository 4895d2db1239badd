"""A search over Ray Client (ray://HOST:PORT): its driver runs on the cluster's head, its words are told here.

Ray Tune does not work over Ray Client: `Tuner` moves itself into a remote task then, where it no longer shares memory with the
ledger of this process. So the whole driver goes to the head, and lives as long as this process does.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ray

from raylab.cluster.connection import check, join_with
from raylab.cluster.lanes import ON_HEAD
from raylab.errors import UserError

POLL_S = 0.5
STARTS = 3  # of the process that Ray Client starts on the head for this one: a busy head may miss Ray's limit of 30 s


class Client:
    """A connection to a cluster's Ray Client, with the contents of `folder` on the cluster. Use it as a context.

    Raises UserError in one line, within seconds, if it can't be had."""

    def __init__(self, address: str, folder: Path) -> None:
        check(address)
        for attempt in range(1, STARTS + 1):
            try:
                join_with(address, {"working_dir": str(folder)})
                return
            except UserError as error:
                if "Starting Ray client server failed" not in str(error.__cause__) or attempt == STARTS:
                    raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        ray.shutdown()

    def run(self, arguments: Sequence[str], write: Callable[[str], None]) -> int:
        """Run `raylab search` with these arguments on the head, and write what it prints. Returns its exit code. An interrupt
        here is one there: the search ends as by Ctrl-C."""
        driver = ray.remote(num_cpus=0, resources=ON_HEAD, max_concurrency=2)(_Driver).remote(list(arguments))
        coming = driver.read.remote()
        with _interrupts() as interrupted:
            while True:
                if interrupted.is_set():
                    interrupted.clear()
                    ray.get(driver.interrupt.remote())
                if not ray.wait([coming], timeout=POLL_S)[0]:
                    continue
                text = ray.get(coming)
                if text is None:
                    return int(ray.get(driver.end.remote()))
                write(text)
                coming = driver.read.remote()


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Set by Ctrl-C meanwhile, which interrupts nothing here: not the words that are on their way, nor the farewell."""
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


class _Driver:
    """A process of the search on the head, which ends with this actor."""

    def __init__(self, arguments: list[str]) -> None:
        address = ray.get_runtime_context().gcs_address
        self.process: Any = subprocess.Popen(
            [sys.executable, "-m", "raylab.search", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "RAY_ADDRESS": address, "PYTHONUNBUFFERED": "1"},
            preexec_fn=_hear_interrupts,
        )  # fmt: skip

    def read(self) -> str | None:
        """The next line it prints; None when it has closed its output."""
        return self.process.stdout.readline() or None

    def end(self) -> int:
        """Its exit code."""
        return int(self.process.wait())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


def _hear_interrupts() -> None:
    """Ray blocks SIGINT in its processes, a head started in the background ignores it, and what they start inherits both."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
