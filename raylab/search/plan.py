"""What a study is about to cost, from a few steps measured here: runs, tokens, time, disk."""

import shutil
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.recipe import Recipe
from raylab.search.space import Replay
from raylab.search.study import Conduct
from raylab.seeds import Seeds
from raylab.training.progress import Progress
from raylab.trial import Execution, run_recipe

START_S = 15.0  # lanes, measured on two cores
MEASURED_STEPS = 6
WARM_STEPS = 2
COMPARED = 3  # arms that pretrain in the verdict, at most: winner, baseline, best baseline found


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The cost of a study. seconds and disk are estimates; runs and tokens are upper bounds (ASHA stops some early, and a
    clear verdict takes the fewest). seconds: to a verdict that is clear at once, and at most."""

    trials: int
    confirmations: int
    tokens: int
    seconds_a_run: float
    seconds: tuple[float, float]
    disk_bytes: int


def plan(conduct: Conduct, lanes: int, parameters: int) -> Plan:
    """Measure a few steps of the space's start and add up. Spends seconds, trains nothing."""
    settings = conduct.settings
    recipe = conduct.space.recipe(Replay(conduct.space.starts(settings.setting)[0], settings.setting.fixed), settings.setting)
    fewest, most = conduct.fewest_runs(COMPARED), conduct.most_runs(COMPARED)
    seconds_a_run = sum(_stage_seconds(r, conduct.data) for r in (recipe, replace(recipe, stages=())))
    exploring = -(-settings.trials // lanes)
    rounds = [exploring + -(-runs // lanes) for runs in (fewest, most)]
    return Plan(
        trials=settings.trials,
        confirmations=most,
        tokens=(settings.trials + most) * settings.setting.budget_tokens,
        seconds_a_run=seconds_a_run,
        seconds=(START_S + rounds[0] * seconds_a_run, START_S + rounds[1] * seconds_a_run),
        disk_bytes=disk_needed(parameters, lanes),
    )


def disk_needed(parameters: int, lanes: int) -> int:
    """Bytes at the fullest: three checkpoints a lane (weights and two moments in float32), the winner, the ledger."""
    return 4 * parameters * (9 * lanes + 1) + 50_000_000


def check_room(folder: Path, parameters: int, lanes: int) -> None:
    """Raise UserError if the disk below `folder` cannot hold what the study writes."""
    needed, free = disk_needed(parameters, lanes), shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free / 1e9:.2f} GB free; this study needs about {needed / 1e9:.2f} GB for checkpoints. "
            "Free some, or give another folder with --storage."
        )


def _stage_seconds(recipe: Recipe, data: Prepared) -> float:
    """Seconds of the first stage of a recipe on one thread, as a lane has, from a few of its steps."""
    took, steps, threads = [], 0, torch.get_num_threads()
    torch.set_num_threads(1)
    for progress in _first_steps(recipe, data):
        took.append(progress[0])
        steps = progress[1].steps
    torch.set_num_threads(threads)
    return steps * statistics.median(took[WARM_STEPS:] or took)


def _first_steps(recipe: Recipe, data: Prepared) -> Iterator[tuple[float, Progress]]:
    events = run_recipe(recipe, Execution(data=data, seeds=Seeds.of(0, 0)))
    begun = time.perf_counter()
    for event in events:
        now = time.perf_counter()
        if not isinstance(event, Progress):
            break
        yield now - begun, event
        if event.step >= min(WARM_STEPS + MEASURED_STEPS, event.steps):
            break
        begun = now
    events.close()
