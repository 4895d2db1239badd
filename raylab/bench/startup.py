"""How long a person waits: for `raylab --help`, and for the first step of a search, cold and then again on the same data.

The commands themselves are run, in processes of their own. A search counts from its command line to its ledger's first
entry (imports, options, data, tokenising), to the first worker that is up (Ray and its lane), and to the first loss that is told,
which is that of a trial's tenth step; then it is interrupted. The second search draws other seeds, so that no run of the first
one answers for it: what it finds is the data, tokenised. What else runs on the machine counts here, as it does for a person.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylab.app.console import console, table
from raylab.bench import Compared
from raylab.errors import UserError
from raylab.search.ledger import FILE, read_events

HELP = "seconds to `raylab --help`, and to the first step of a search, cold and on data that it has seen"

GOAL_S = 0.5  # until the help stands there
HELPS = 5  # times the help is asked for, of which the median counts
WITHIN_S = 600.0
POLL_S = 0.05
ENDING_S = 60.0
SEARCH = (
    "search", "masking", "--dataset", "atlas", "--trials", "1", "--policies", "uniform", "--scale", "tiny", "--lanes", "1",
    "--set", "budget_tokens=20000", "--quiet",
)  # fmt: skip


SEARCHES = ("cold", "warm")
MOMENTS = {"data_s": "the data are ready", "worker_s": "a worker is up", "step_s": "ten steps are done"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add whether a search is started at all."""
    parser.add_argument("--help-alone", action="store_true", help="start no search")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the clock."""
    load = os.getloadavg()[0]
    helps = [_help_s() for _ in range(HELPS)]
    found: dict[str, Any] = {"help_s": statistics.median(helps), "cores": os.cpu_count(), "load_before": load}
    if not args.help_alone:
        with tempfile.TemporaryDirectory(prefix="raylab-startup-", ignore_cleanup_errors=True) as folder:
            found |= {name: _search(Path(folder), name, seed) for seed, name in enumerate(SEARCHES)}
    return found


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("s until the help stands there; goal", result["help_s"], GOAL_S)]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    rows = [["the help stands there", f"{result['help_s']:.2f}"]]
    for name in SEARCHES:
        rows += [[f"{name}: {words}", f"{result[name][key]:.1f}"] for key, words in MOMENTS.items() if name in result]
    console().print(table("from the command line until", ">seconds", rows=rows))
    console().print(f"Goal: the help within {GOAL_S} s. {'Met.' if met(result) else 'Missed.'}")
    if result["load_before"] > 0.5:
        console().print(f"Other processes kept {result['load_before']:.1f} of {result['cores']} cores busy when it began.")


def met(result: Mapping[str, Any]) -> bool:
    """Does the help come as soon as it should?"""
    return bool(result["help_s"] <= GOAL_S)


def _help_s() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "raylab", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def _search(storage: Path, name: str, seed: int) -> dict[str, float]:
    """Start a search and interrupt it once its first loss is told. Raises UserError if it ends before that."""
    begun = time.time()
    command = [sys.executable, "-m", "raylab", *SEARCH, "--seed", str(seed), "--storage", str(storage), "--name", name]
    with open(storage / f"{name}.txt", "wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            events = _until_a_loss(process, storage / name / FILE, storage / f"{name}.txt")
        finally:
            _interrupt(process)
    first = {event["event"]: event for event in reversed(events)}
    return {
        "data_s": first["study"]["time"] - begun,
        "worker_s": first["worker"]["time"] - begun,
        "step_s": first["curve"]["points"][0]["time"] - begun,
    }


def _until_a_loss(process: subprocess.Popen[bytes], ledger: Path, said: Path) -> list[dict[str, Any]]:
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        events = read_events(ledger) if ledger.exists() else []
        if any(event["event"] == "curve" for event in events):
            return events
        time.sleep(POLL_S)
    told = said.read_text(errors="replace").strip().splitlines()
    raise UserError(f"a search told of no loss within {WITHIN_S:.0f} s; its last line: {told[-1] if told else 'none'}")


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does; the search then closes what it has open."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDING_S)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
