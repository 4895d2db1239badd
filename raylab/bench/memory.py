"""What many trials leave in the memory of the lane that runs them, one after the other.

A real exploration on one lane of one worker: recipes of the masking space, drawn at random, on the atlas's invented passages, a
second each. Every run tells of the most memory that its process held (raylab.training.footprint); the last ones are set beside
early ones, after those with which the process has warmed up. Medians, as recipes differ.
"""

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raylab.app.console import console
from raylab.bench import Compared
from raylab.bench._small import small_study
from raylab.errors import UserError
from raylab.masking.policy import policies_by_default
from raylab.search.ledger import Ledger
from raylab.search.study import Conduct

HELP = "memory of a lane after many trials, over that after a few"
MINUTES = 4

GOAL = 1.05  # times the early runs' peak, what the last ones may hold
WARM = 10  # trials that are left out
WINDOW = 20  # trials at either end


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the number of trials."""
    parser.add_argument("--trials", type=int, default=200, metavar="N", help="trials of the search (default: 200)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Median peaks in bytes of early trials and of the last."""
    if args.trials < WARM + 2:
        raise UserError(f"--trials is {args.trials}; expected at least {WARM + 2}, {WARM} of which warm up.")
    with tempfile.TemporaryDirectory(prefix="raylab-memory-", ignore_cleanup_errors=True) as folder:
        conduct = small_study(Path(folder), args.trials, policies=policies_by_default(), sampler="random")
        peaks = _explore(conduct, Path(folder) / "study")
    early, last = early_and_last(peaks)
    return {"early_bytes": early, "last_bytes": last, "ratio": last / early, "trials": len(peaks)}


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("bytes a lane holds, after many trials; after a few", result["last_bytes"], result["early_bytes"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures in two lines."""
    early, last = (result[name] / 2**20 for name in ("early_bytes", "last_bytes"))
    console().print(f"{result['trials']} trials on one lane: early ones held {early:,.0f} MiB, the last ones {last:,.0f} MiB.")
    verdict = "Met." if met(result) else "Missed."
    console().print(f"That is {result['ratio']:.3f} times as much; goal: at most {GOAL}. {verdict}")


def met(result: Mapping[str, Any]) -> bool:
    """Does a lane hold at the end about what it held in the beginning?"""
    return bool(result["ratio"] <= GOAL)


def early_and_last(peaks: Sequence[int]) -> tuple[float, float]:
    """Medians of the first trials that do not warm up and of the last: of WINDOW, or as many as there are."""
    window = min(WINDOW, (len(peaks) - WARM) // 2)
    return statistics.median(peaks[WARM : WARM + window]), statistics.median(peaks[-window:])


def _explore(conduct: Conduct, folder: Path) -> list[int]:
    """The bytes that each run's process held at most, in the order in which they ended."""
    from raylab.cluster.runner import LaneRunner, Placement

    folder.mkdir()
    place, ledger = Placement(folder=folder, lanes=1), Ledger(folder)
    with contextlib.closing(ledger), LaneRunner(place, conduct.data.folder, conduct.study, ledger) as runner:
        runner.explore(conduct)
    runs = sorted(conduct.study.of_role("explore"), key=lambda run: run.ended or 0.0)
    return [run.memory["host"] for run in runs if run.memory]
