"""How often one beginning is trained that all trials of a search share.

A real exploration of the space `hyperparameters` on lanes, whose trials finetune one pretrained model each in their own way. What
its runs read of the corpus is set beside what they would have read without the cache of stages: both are counted by the runs.
"""

import argparse
import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from raylab.bench import Compared
from raylab.bench._small import small_study
from raylab.errors import UserError
from raylab.search.ledger import Ledger
from raylab.search.reading import tokens
from raylab.search.study import Conduct
from raylab.seeds import Seeds

HELP = "how often a search trains the beginning that all its trials share, with the cache of stages and without"

GOAL = 1.2  # beginnings, what exploration may train


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the size of the search."""
    parser.add_argument("--trials", type=int, default=24, metavar="N", help="trials of the search (default: 24)")
    parser.add_argument("--lanes", type=int, default=2, metavar="N", help="lanes of one worker (default: 2)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Corpus tokens that exploration read and that it would have read, in all and in beginnings."""
    if args.trials < 2 or args.lanes < 1:
        raise UserError(f"--trials {args.trials} --lanes {args.lanes}: expected 2 trials at least, on 1 lane at least.")
    with tempfile.TemporaryDirectory(prefix="raylab-stage-cache-", ignore_cleanup_errors=True) as folder:
        conduct = small_study(Path(folder), args.trials, "hyperparameters", sampler="random")
        _explore(conduct, Path(folder) / "study", args.lanes)
        return {**counted(conduct), "lanes": args.lanes}


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("shared beginnings trained, with the cache; without", result["with"], result["without"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures in a few lines."""
    lines = (
        f"{result['trials']} trials on {result['lanes']} lanes begin with the same {result['beginning_tokens']:,} corpus tokens.",
        f"Trained without the cache: {result['without_tokens']:,}, {result['without']:.2f} beginnings. With it: "
        f"{result['with_tokens']:,}, {result['with']:.2f}; goal: at most {GOAL}. {'Met.' if met(result) else 'Missed.'}",
    )
    for line in lines:
        Console().print(line, highlight=False)


def met(result: Mapping[str, Any]) -> bool:
    """Is what the trials share trained about once?"""
    return bool(result["with"] <= GOAL)


def counted(conduct: Conduct) -> dict[str, Any]:
    """What exploration's runs have counted. Raises RuntimeError where one did not finish."""
    runs = conduct.study.of_role("explore")
    if unfinished := [run for run in runs if run.state != "finished"]:
        raise RuntimeError(f"{len(unfinished)} of {len(runs)} trials did not finish: {unfinished[0].error}")
    recipe = conduct.space.decode({}, conduct.settings.setting)[0]
    beginning = tokens(recipe, Seeds.of(conduct.settings.seed, 0), conduct.data)
    read = sum(int(run.metrics["tokens"]) for run in runs)
    spared = sum(int(run.metrics["reused_tokens"]) for run in runs)
    return {
        "trials": len(runs), "beginning_tokens": beginning, "with_tokens": read, "without_tokens": read + spared,
        "with": read / beginning, "without": (read + spared) / beginning,
    }  # fmt: skip


def _explore(conduct: Conduct, folder: Path, lanes: int) -> None:
    from raylab.cluster.runner import LaneRunner, Placement

    folder.mkdir()
    with contextlib.closing(Ledger(folder)) as ledger:
        place = Placement(folder=folder, lanes=lanes)
        with LaneRunner(place, conduct.data.folder, conduct.study, ledger) as runner:
            runner.explore(conduct)
