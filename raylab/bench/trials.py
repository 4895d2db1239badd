"""What the hundredth and the five-hundredth trial of one search cost, where the runs themselves take no time.

A real exploration: raylab's runner, Ray Tune with its scheduler and sampler, the queue, the ledger; only the lane is
another, which answers every request at once with an invented score. What is left is what raylab and Ray Tune spend on
a trial, and whether that grows with the trials there were before it.
"""

import argparse
import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from raylab.bench import Compared
from raylab.bench._small import small_study
from raylab.errors import UserError
from raylab.masking.policy import policies_by_default
from raylab.search.ledger import Ledger
from raylab.search.study import Conduct

HELP = "seconds a trial of no work costs at the end of a long search, over the beginning"
MINUTES = 4

GOAL = 1.5  # times the first ones, what the last ones may cost
WINDOW = 100  # trials at either end


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the number of trials."""
    parser.add_argument("--trials", type=int, default=500, metavar="N", help="trials of the search (default: 500)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds a trial at either end of the search, and the ledger's size."""
    if args.trials < 4:
        raise UserError(f"--trials is {args.trials}; expected at least 4, so that there is a beginning and an end.")
    with tempfile.TemporaryDirectory(prefix="raylab-trials-", ignore_cleanup_errors=True) as folder:
        conduct = small_study(Path(folder), args.trials, policies=policies_by_default(), scheduler="asha")
        ends, ledger_bytes = _explore(conduct, Path(folder) / "study")
    first_s, last_s, window = first_and_last(ends)
    return {
        "first_s": first_s,
        "last_s": last_s,
        "ratio": last_s / first_s,
        "ledger_bytes": ledger_bytes / len(ends),
        "window": window,
        "trials": len(ends),
        "seconds": ends[-1] - ends[0],
    }


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("s a trial of no work, the last ones; the first", result["last_s"], result["first_s"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures in a few lines."""
    lines = (
        f"{result['trials']} trials of no work took {result['seconds']:.0f} s.",
        f"The first {result['window']}: {result['first_s']:.3f} s each. The last: {result['last_s']:.3f} s, "
        f"{result['ratio']:.2f} times as long; goal: at most {GOAL}. "
        f"{'Met.' if met(result) else 'Missed.'}",
        f"A trial takes {result['ledger_bytes']:.0f} bytes of the ledger.",
    )
    for line in lines:
        Console().print(line, highlight=False)


def met(result: Mapping[str, Any]) -> bool:
    """Does a trial cost at the end about what it does at the beginning?"""
    return bool(result["ratio"] <= GOAL)


def first_and_last(ends: Sequence[float]) -> tuple[float, float, int]:
    """Mean seconds between the ends of the first trials and of the last, and how many those are: WINDOW, or half of them."""
    window = min(WINDOW, len(ends) // 2)
    first_s, last_s = ((part[-1] - part[0]) / (window - 1) for part in (ends[:window], ends[-window:]))
    return first_s, last_s, window


def _explore(conduct: Conduct, folder: Path) -> tuple[list[float], int]:
    """When each trial's run ended, in order, and the bytes of the ledger."""
    from raylab.cluster.runner import LaneRunner, Placement

    folder.mkdir()
    with contextlib.closing(Ledger(folder)) as ledger:
        place = Placement(folder=folder, lanes=1)
        with LaneRunner(place, conduct.data.folder, conduct.study, ledger, start=_start_answering) as runner:
            runner.explore(conduct)
    ends = sorted(run.ended for run in conduct.study.of_role("explore") if run.ended is not None)
    return ends, ledger.path.stat().st_size


def _start_answering(count: int, config: Any, storage: Path) -> Any:
    """Lanes that have the answer ready, in place of raylab.cluster.lanes.start_lanes."""
    import ray

    from raylab.cluster.lanes import Lanes

    return Lanes(ended=[ray.remote(num_cpus=0)(answering_lane).remote(config.queue, lane) for lane in range(count)], keeper=None)


def answering_lane(queue_name: str, lane: int) -> None:
    """Answer every request with a score that follows from its key."""
    import ray

    from raylab.cluster.trial import NAMESPACE

    queue = ray.get_actor(queue_name, namespace=NAMESPACE)
    while (request := ray.get(queue.take.remote(lane))) != {}:
        if request is not None:
            score = 20 + int(request["key"][:8], 16) / 2**32
            end = {"key": request["key"], "state": "finished", "metrics": {"dev_bits_per_answer": score}}
            ray.get(queue.finish.remote(lane, {**end, "scores": {}, "seconds": {"total": 0.0}, "error": None}))
