"""What a verdict is worth: how often it errs, and what it costs, over simulated searches whose truth is known.

Every search goes through the functions of raylab/verdict that a study goes through: exploration runs each candidate once, the
race selects (`selection.due`, `selection.order`), looks at fresh paired seeds confirm (`looks.progress`), and the decision is
read from the interval (`paired_difference`, `decide`). Only the scores are drawn: candidate + seed + noise, so that paired
differences of seeds have a standard deviation of 1, the unit of all effects here. Candidate 0 is the baseline.

    A/A         all candidates are equal: how often is a winner declared, how often is the truth (0) in the interval?
    one better  one of them is better by 1: how often is it found *and* declared, in how many runs of all candidates?

Beside it stands what a table of ten seeds for every candidate gives: the best mean against the baseline by a paired t test,
as it is usually done, and with the test adjusted for the comparisons the best was chosen from (Bonferroni).
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import stdtr
from scipy.stats import binomtest

from raylab.bench import Compared
from raylab.errors import UserError
from raylab.verdict import looks, selection
from raylab.verdict.decision import decide
from raylab.verdict.paired import paired_difference

HELP = "false winners, coverage and power of the verdict over simulated searches, beside ten seeds each"

FIXED_SEEDS = 10
NOISE = 1 / np.sqrt(2)  # of one run; that of a paired difference is 1
QUESTIONS = 12
BETTER = 3  # the candidate that is better, where one is


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Of one search. covered: is the true difference in the interval? None without one."""

    winner: int
    decision: str
    covered: bool | None
    runs: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Add how many searches of which size."""
    parser.add_argument("--searches", type=int, default=2000, help="searches of each kind (default: 2000)")
    parser.add_argument("--candidates", type=int, default=12, help="candidates of a search (default: 12)")
    parser.add_argument("--seeds", type=int, default=20, help="most paired seeds of a verdict (default: 20)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Both kinds of searches, and the fixed design on as many."""
    for name, least in (("searches", 1), ("candidates", BETTER + 1), ("seeds", 2)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} is {getattr(args, name)}; expected at least {least}.")
    return figures(args.searches, args.candidates, args.seeds)


def figures(searches: int = 2000, candidates: int = 12, seeds: int = 20) -> dict[str, Any]:
    """The bench's figures: rates over `searches` searches, with the 95 % limits of so many draws beside them."""
    equal = simulate(np.zeros(candidates), seeds, searches)
    better = simulate(_one_better(candidates), seeds, searches)
    declared = [found.decision == "better" for found in equal]
    covered = [found.covered for found in equal if found.covered is not None]
    found_it = [found.winner == BETTER and found.decision == "better" for found in better]
    return {
        "searches": searches,
        "candidates": candidates,
        "seeds": seeds,
        "false_winners": float(np.mean(declared)),
        "coverage": float(np.mean(covered)),
        "power": float(np.mean(found_it)),
        "runs_needed": float(np.mean([found.runs for found in better])),
        "runs_without_a_difference": float(np.mean([found.runs for found in equal])),
        "coverage_where_one_is_better": float(np.mean([found.covered for found in better if found.covered is not None])),
        "selected": float(np.mean([found.winner == BETTER for found in better])),
        "limits": {"false_winners": _limits(declared), "coverage": _limits(covered), "power": _limits(found_it)},
        "fixed": _fixed(searches, candidates),
    }


def simulate(loss_C: np.ndarray, most: int, searches: int, seed: int = 0) -> list[Outcome]:
    """Searches over candidates of these true losses, each with draws of its own."""
    return [search(loss_C, most, np.random.default_rng([seed, number])) for number in range(searches)]


def search(loss_C: np.ndarray, most: int, rng: np.random.Generator) -> Outcome:
    """One search, from exploration to the decision."""
    losses_CS = _drawn(loss_C, rng)[:, None]
    runs = len(loss_C)
    while asked := selection.due(losses_CS):
        latest_C = _drawn(loss_C, rng)
        latest_C[np.setdiff1d(np.arange(len(loss_C)), asked)] = np.nan
        losses_CS, runs = np.column_stack([losses_CS, latest_C]), runs + len(asked)
    winner = selection.order(losses_CS)[0]
    if winner == 0:
        return Outcome(winner=0, decision="not_run", covered=None, runs=runs + looks.planned(most)[0])
    ours, theirs = _test_scores(loss_C[winner], most, rng), _test_scores(loss_C[0], most, rng)
    seeds, confidence = (found := looks.progress(ours, theirs, most)).seeds, found.confidence
    difference = paired_difference(ours[:seeds], theirs[:seeds], confidence)
    interval = difference.interval
    truth = loss_C[winner] - loss_C[0]
    covered = None if interval is None else bool(interval.low <= truth <= interval.high)
    decision = decide(difference, higher_is_better=False)
    return Outcome(winner=winner, decision=decision, covered=covered, runs=runs + 2 * seeds)


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("winners found and declared; ten seeds each, adjusted", result["power"], result["fixed"]["adjusted"]["power"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    fixed, limits = result["fixed"], result["limits"]
    title = f"{result['searches']:,} searches, {result['candidates']} candidates, at most {result['seeds']} paired seeds"
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", "raylab", "95 % limits", "ten seeds each", "adjusted"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    plain, adjusted = fixed["plain"], fixed["adjusted"]
    rows = [
        ("all equal: a winner declared", "false_winners", f"{plain['false_winners']:.1%}", f"{adjusted['false_winners']:.1%}"),
        ("all equal: truth in the 95 % interval", "coverage", f"{plain['coverage']:.1%}", f"{adjusted['coverage']:.1%}"),
        ("one better by 1 sd: found and declared", "power", f"{plain['power']:.1%}", f"{adjusted['power']:.1%}"),
    ]
    for name, key, *beside in rows:
        table.add_row(name, f"{result[key]:.1%}", " to ".join(f"{limit:.1%}" for limit in limits[key]), *beside)
    table.add_row("  runs of all candidates together", f"{result['runs_needed']:.1f}", "", *[str(fixed["runs"])] * 2)
    Console().print(table)


def _drawn(loss_C: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One seed of every candidate on dev; what the seed does to all of them alike is as large as the noise."""
    return loss_C + NOISE * rng.standard_normal() + NOISE * rng.standard_normal(len(loss_C))


def _test_scores(loss: float, seeds: int, rng: np.random.Generator) -> list[list[float]]:
    """By seed and question. Half of a run's noise is its own, half is that of its answers."""
    run_S1 = np.sqrt(0.5) * NOISE * rng.standard_normal((seeds, 1))
    answer_SQ = np.sqrt(0.5 * QUESTIONS) * NOISE * rng.standard_normal((seeds, QUESTIONS))
    rows: list[list[float]] = (loss + run_S1 + answer_SQ).tolist()
    return rows


def _one_better(candidates: int) -> np.ndarray:
    loss_C = np.zeros(candidates)
    loss_C[BETTER] = -1.0
    return loss_C


def _fixed(searches: int, candidates: int) -> dict[str, Any]:
    """Ten seeds for every candidate: the best mean against the baseline on the seeds that chose it."""
    rng = np.random.default_rng(1)
    found: dict[str, dict[str, float]] = {name: {} for name in ("plain", "adjusted")}
    for kind, loss_C in (("false_winners", np.zeros(candidates)), ("power", _one_better(candidates))):
        losses_RCS = loss_C[:, None] + NOISE * rng.standard_normal((searches, candidates, FIXED_SEEDS))
        best_R = losses_RCS.mean(axis=2).argmin(axis=1)
        difference_RS = losses_RCS[np.arange(searches), best_R] - losses_RCS[:, 0]
        error_R = difference_RS.std(axis=1, ddof=1) / np.sqrt(FIXED_SEEDS) + (best_R == 0)
        mean_R = difference_RS.mean(axis=1)
        p_R = np.where(best_R == 0, 1.0, 2 * stdtr(FIXED_SEEDS - 1, -np.abs(mean_R) / error_R))
        true_R = loss_C[best_R] - loss_C[0]
        p_true_R = 2 * stdtr(FIXED_SEEDS - 1, -np.abs(mean_R - true_R) / error_R)
        wanted_R = best_R == BETTER if kind == "power" else best_R >= 0
        for name, level in (("plain", 0.05), ("adjusted", 0.05 / (candidates - 1))):
            found[name][kind] = float(np.mean((p_R < level) & (mean_R < 0) & wanted_R))
            if kind == "false_winners":
                found[name]["coverage"] = float(np.mean(p_true_R[best_R > 0] >= level))
    return {"seeds": FIXED_SEEDS, "runs": FIXED_SEEDS * candidates, **found}


def _limits(happened: Sequence[bool | None]) -> list[float]:
    """The 95 % limits (Clopper-Pearson) of a rate."""
    limits = binomtest(sum(map(bool, happened)), len(happened)).proportion_ci(0.95)
    return [float(limits.low), float(limits.high)]
