"""How fast synthetic tasks are generated, on one core; and, if asked, whether the smallest model learns them.

Speed: the tokens of inputs and outputs together, at the paper's lengths. Symbols are ids without a tokenizer, as many as T5
has ordinary tokens.

Learning: each task by a tiny T5 from random weights, on 100 symbols and payloads of 4 to 10 tokens (LIME: its own sizes for 64
tokens), until 99 % of the output's tokens, in examples it has not seen, are its first choice given those before.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from raylab.app.steps import Teller
from raylab.bench import Compared
from raylab.data import atlas
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.seeds import Seeds
from raylab.stages.synthesize import Synthesize, token_accuracy
from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.task import Lengths, SyntheticTask
from raylab.training.context import Context
from raylab.training.optimizer import Optimization
from raylab.training.threads import one_thread

HELP = "tokens a second of every synthetic task's generator, and their median; with --learn, what a tiny model learns"

GOAL_MTOK_S = 5.0  # the median over tasks
_SYMBOLS = 32_000
LEARNED = 0.99  # of the tokens
_CHECK_EVERY = 100  # steps


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the size of a batch and the number of runs."""
    parser.add_argument("--rows", type=int, default=256, help="examples of a batch (default: 256)")
    parser.add_argument("--runs", type=int, default=15, help="runs of which the median counts (default: 15)")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="these tasks only")
    parser.add_argument("--learn", type=int, default=0, metavar="STEPS", help="train a tiny model so long at most (default: 0)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="of --learn (default: 0.002)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians over `--runs` batches of each task, in CPU seconds, so that neighbours do not count; what was learned."""
    if min(args.rows, args.runs) < 1 or args.learn < 0:
        raise UserError("--rows, --runs and --learn are counts; expected at least 1 of the first two.")
    tasks = {name: SyntheticTask.registry.get(name)() for name in args.tasks or SyntheticTask.registry.names()}
    speeds = {name: _speed(task, args.rows, args.runs) for name, task in tasks.items()}
    learned = _learned(tasks, args.learn, args.learning_rate) if args.learn else {}
    return {
        "rows": args.rows, "runs": args.runs, "mtok_s": speeds, "median_mtok_s": statistics.median(speeds.values()),
        "learned": learned,
    }  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("Mtok/s of the median task's generator; goal", result["median_mtok_s"], GOAL_MTOK_S)]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"Synthetic tasks, Mtok/s on one core, batches of {result['rows']}", title_justify="left", box=None)
    table.add_column("task", no_wrap=True)
    table.add_column("Mtok/s", justify="right", no_wrap=True)
    if result["learned"]:
        for column in ("steps", "tokens right"):
            table.add_column(column, justify="right", no_wrap=True)
    for name, speed in result["mtok_s"].items():
        learned = result["learned"].get(name)
        table.add_row(name, f"{speed:.1f}", *([f"{learned['steps']:,}", f"{learned['accuracy']:.1%}"] if learned else []))
    table.add_row("median", f"{result['median_mtok_s']:.1f}", style="bold")
    Console().print(table)
    Console().print(f"Goal: a median of at least {GOAL_MTOK_S:.0f}. {'Met.' if met(result) else 'Missed.'}")


def met(result: Mapping[str, Any]) -> bool:
    """Is the median task generated as quickly as it should be?"""
    return bool(result["median_mtok_s"] >= GOAL_MTOK_S)


def _speed(task: SyntheticTask, rows: int, runs: int) -> float:
    alphabet, rng = Alphabet.plain(_SYMBOLS), np.random.default_rng(0)
    task.draw(rows, alphabet, Lengths(), rng)
    speeds = []
    for _ in range(runs):
        begin = time.process_time()
        pairs = task.draw(rows, alphabet, Lengths(), rng)
        seconds = time.process_time() - begin
        speeds.append((len(pairs.sources.tokens_N) + len(pairs.targets.tokens_N)) / max(seconds, 1e-9) / 1e6)
    return statistics.median(speeds)


def _learned(tasks: Mapping[str, SyntheticTask], steps: int, learning_rate: float) -> dict[str, dict[str, float]]:
    """For each task the steps that were taken and the share of tokens that is right then, with one thread."""
    with one_thread(), tempfile.TemporaryDirectory(prefix="raylab-synthetic-") as folder:
        data = prepare(atlas.fixture(), "fixture", Preparation(vocab_size=400, max_tokens=64), Path(folder))
        return {name: _learn(task, data, steps, learning_rate) for name, task in tasks.items()}


def _learn(task: SyntheticTask, data: Prepared, steps: int, learning_rate: float) -> dict[str, float]:
    context, teller = Context(data=data, seeds=Seeds.of(0, 0), stage=task.name()), Teller()
    optimization = Optimization(learning_rate=learning_rate, decay=0.2)
    stage = Synthesize(task=task, symbols=100, shortest=4, longest=10, batch_size=32, optimization=optimization)
    stage = replace(stage, budget_tokens=round((steps - 0.5) * stage.tokens_a_step(context)))
    model = build(ModelSpec(), data.tokenizer, context.seeds.init)
    held_out = stage.held_out(model, context)
    for progress in stage.run(model, context):
        teller(progress)
        if progress.step % _CHECK_EVERY == 0 or progress.step == progress.steps:
            accuracy = token_accuracy(model, held_out, context)
            if accuracy >= LEARNED:
                break
    return {"steps": progress.step, "accuracy": accuracy}
