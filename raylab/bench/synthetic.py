"""How fast synthetic tasks are generated, on one core: the tokens of inputs and outputs together, at the paper's lengths.

Symbols are ids without a tokenizer, as many as T5 has ordinary tokens. Training at the smallest scale reads tens of thousands
of tokens a second on a core; a task that gives a million keeps it waiting for a few per cent of its time.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from raylab.errors import UserError
from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.task import Lengths, SyntheticTask

HELP = "tokens a second of every synthetic task's generator, and their median"

GOAL_MTOK_S = 5.0  # the median over tasks
_SYMBOLS = 32_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the size of a batch and the number of runs."""
    parser.add_argument("--rows", type=int, default=256, help="examples of a batch (default: 256)")
    parser.add_argument("--runs", type=int, default=15, help="runs of which the median counts (default: 15)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians over `--runs` batches of each task; CPU seconds, so that its neighbours do not count."""
    if min(args.rows, args.runs) < 1:
        raise UserError("--rows and --runs are counts; expected at least 1 of each.")
    speeds = {name: _speed(name, args.rows, args.runs) for name in SyntheticTask.registry.names()}
    return {"rows": args.rows, "runs": args.runs, "mtok_s": speeds, "median_mtok_s": statistics.median(speeds.values())}


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"Synthetic tasks, Mtok/s on one core, batches of {result['rows']}", title_justify="left", box=None)
    table.add_column("task", no_wrap=True)
    table.add_column("Mtok/s", justify="right", no_wrap=True)
    for name, speed in result["mtok_s"].items():
        table.add_row(name, f"{speed:.1f}")
    table.add_row("median", f"{result['median_mtok_s']:.1f}", style="bold")
    Console().print(table)
    Console().print(f"Goal: a median of at least {GOAL_MTOK_S:.0f}. {'Met.' if met(result) else 'Missed.'}")


def met(result: Mapping[str, Any]) -> bool:
    """Is the median task generated as quickly as it should be?"""
    return bool(result["median_mtok_s"] >= GOAL_MTOK_S)


def _speed(name: str, rows: int, runs: int) -> float:
    task: SyntheticTask = SyntheticTask.registry.get(name)()
    alphabet, rng = Alphabet.plain(_SYMBOLS), np.random.default_rng(0)
    task.draw(rows, alphabet, Lengths(), rng)
    speeds = []
    for _ in range(runs):
        begin = time.process_time()
        pairs = task.draw(rows, alphabet, Lengths(), rng)
        seconds = time.process_time() - begin
        speeds.append((len(pairs.sources.tokens_N) + len(pairs.targets.tokens_N)) / max(seconds, 1e-9) / 1e6)
    return statistics.median(speeds)
