"""How many trials a search for a mixture takes until it has found a good one: with a surrogate, with TPE, by chance.

The problem is planted (raylab.bench._mixtures.planted): of six tasks two help, two hurt, two do neither, and proportions by size
are bad ones. Mixtures of it were trained for real, each on several seeds; a proposal is answered with the nearest of them, on one
of its seeds, and is as good as that one's mean. Good are the best few of a hundred. `--record` trains them anew.

Tried on the way, in the place of the Gaussian process over square roots of proportions: ridge regression from roots or logarithms
of proportions to scores, after RegMix (Liu et al. 2024, arXiv 2407.01492; our reading). In 20 searches over this table it had not
found a good mixture within 60 trials 8 and 10 times, the process once.

`--real` makes a search that trains, from its first trial to its verdicts: against proportions by size, and against even ones.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from raylab.bench import Compared
from raylab.bench._mixtures import planted
from raylab.bench._mixtures.recorded import FILE, record, recorded
from raylab.bench._mixtures.searched import GOOD, really, trials_until_good
from raylab.errors import UserError

HELP = "trials until a good mixture of tasks is found: with a surrogate, with TPE, by chance"
MINUTES = 15

SAMPLERS = ("gp", "tpe", "random")
GOAL = 0.5  # of random's trials, at most
TRIALS, REAL_TRIALS = 200, 16
HELPFUL = 0.8  # of the winner's mixture, at least: then it has found the tasks that help


def configure(parser: argparse.ArgumentParser) -> None:
    """Add how much is searched, and whether the table is made anew."""
    parser.add_argument("--trials", type=int, default=TRIALS, metavar="N", help=f"of a search, at most (default: {TRIALS})")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="searches with each sampler (default: 10)")
    parser.add_argument("--record", action="store_true", help="train the mixtures of the table first; takes minutes")
    parser.add_argument("--real", action="store_true", help=f"a search of {REAL_TRIALS} trials that trains, too; takes minutes")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The trials of every search until the first good mixture, by sampler; what the search that trains found."""
    for name in ("trials", "seeds"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} is {getattr(args, name)}; expected at least 1.")
    with tempfile.TemporaryDirectory(prefix="raylab-mixtures-", ignore_cleanup_errors=True) as folder:
        data = planted.prepared(Path(folder))
        if args.record:
            FILE.unlink(missing_ok=True)
            record(data)
        table = recorded()
        found = {
            sampler: [trials_until_good(sampler, seed, args.trials, table, data) for seed in range(args.seeds)]
            for sampler in SAMPLERS
        }
        real = asdict(really(SAMPLERS[0], 0, REAL_TRIALS, data)) if args.real else None
    medians = {sampler: float(np.median(counts)) for sampler, counts in found.items()}
    return {
        "trials": found, "medians": medians, "share_of_random": medians["gp"] / medians["random"], "most": args.trials,
        "mixtures": len(table.means), "real": real,
    }  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("trials until a good mixture, surrogate; random", result["medians"]["gp"], result["medians"]["random"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the trials of each sampler, its median as a share of random's, and the verdicts."""
    title = f"Trials until one of the best {GOOD:.0%} of {result['mixtures']} recorded mixtures, {result['most']} at most"
    printed = Table(title=title, title_justify="left", box=None)
    for column in ("sampler", "median", "of random's", "trials, by seed"):
        printed.add_column(column, justify="left" if column == "sampler" else "right")
    for sampler, counts in result["trials"].items():
        median = result["medians"][sampler]
        printed.add_row(sampler, f"{median:g}", f"{median / result['medians']['random']:.2f}", " ".join(map(str, counts)))
    Console().print(printed)
    if real := result["real"]:
        told = ", ".join(f"{name} {weight:.0%}" for name, weight in real["weights"].items())
        for line in (f"The search that trained found: {told}.", *(row["sentence"] for row in real["verdicts"].values())):
            Console().print(line, highlight=False)
    said = "Met." if met(result) else "Missed."
    Console().print(f"Goal: gp takes at most {GOAL:g} of random's trials{_more(real)}. {said}", highlight=False)


def _more(real: Mapping[str, Any] | None) -> str:
    return "; the search that trains finds what helps, and beats both" if real else ""


def met(result: Mapping[str, Any]) -> bool:
    """Whether the surrogate saves as many trials as it should, and the search that trained found what helps."""
    real = result["real"]
    return bool(result["share_of_random"] <= GOAL and (real is None or _found(real)))


def _found(real: Mapping[str, Any]) -> bool:
    helpful = sum(real["weights"][name] for name in planted.HELPFUL)
    return helpful >= HELPFUL and all(verdict["decision"] == "better" for verdict in real["verdicts"].values())
