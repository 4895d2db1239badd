"""What a trial costs beyond its own steps: on a warm lane, and as a TorchTrainer of its own inside each Ray Tune trial.

The second is the way Ray's documentation has for tuning a distributed training ("Hyperparameter Tuning with Ray Tune",
Ray Train user guide): a Tune function that calls `trainer.fit()` with `TuneReportCallback`, all settings as Ray ships
them. Both sides run the same recipes on the same data with as many workers in one run of this bench: first a study's
exploration by raylab's own runner, Tune and sampler included, then the first of its recipes once more, nested.

The cost of a trial is the time from the end of the trial before it (of the first: from when Tune was called) to its
own end, less the seconds that its run spent in steps and scoring. A lane's start is paid once a search, and told apart.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from raylab.bench import Compared
from raylab.bench._small import small_study
from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.recipe import Recipe, decode, run_key
from raylab.search.ledger import Ledger, Run
from raylab.search.space import Replay
from raylab.search.study import Conduct, Request
from raylab.seeds import Seeds

HELP = "seconds a trial costs beyond its own steps, on a warm lane and as a nested TorchTrainer"
MINUTES = 4

GOAL = 20.0  # times less, what raylab promises
_OURS_ALONE = ("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "RAY_TRAIN_METRICS_ENABLED")  # settings that the nested side goes without


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the number of trials and workers."""
    parser.add_argument("--trials", type=int, default=12, metavar="N", help="trials on the lane (default: 12)")
    parser.add_argument("--nested-trials", type=int, default=3, metavar="N", help="nested trials, 20 s each (default: 3)")
    parser.add_argument("--workers", type=int, default=2, metavar="W", help="workers of a trial (default: 2)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians over the trials of each side, in seconds."""
    if min(args.trials, args.nested_trials, args.workers) < 1:
        raise UserError("--trials, --nested-trials and --workers are counts; expected at least 1 of each.")
    with tempfile.TemporaryDirectory(prefix="raylab-overhead-", ignore_cleanup_errors=True) as folder:
        conduct = small_study(Path(folder), args.trials)
        start_s, lane = _on_a_lane(conduct, Path(folder), args.workers)
        nested = _nested(conduct, Path(folder), args.nested_trials, args.workers)
    lane_s, nested_s = statistics.median(lane), statistics.median(nested)
    return {
        "lane_s": lane_s,
        "nested_s": nested_s,
        "ratio": nested_s / lane_s,
        "lane_start_s": start_s,
        "steps_s": statistics.median(_own_s(run.seconds) for run in _explored(conduct)),
        "trials": len(lane),
        "nested_trials": len(nested),
        "workers": args.workers,
    }


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("s a trial beyond its steps, on a lane; nested TorchTrainer", result["lane_s"], result["nested_s"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(
        title=f"A trial of {result['workers']} workers, beyond {result['steps_s']:.1f} s of steps", title_justify="left"
    )
    for column in ("", "trials", "s a trial", "times"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("warm lane", str(result["trials"]), f"{result['lane_s']:.2f}", "1")
    table.add_row("nested TorchTrainer", str(result["nested_trials"]), f"{result['nested_s']:.2f}", f"{result['ratio']:.0f}")
    table.add_section()
    table.add_row("lane's start, once a search", "", f"{result['lane_start_s']:.1f}", "")
    Console().print(table)
    Console().print(f"Goal: at least {GOAL:.0f} times less. {'Met.' if met(result) else 'Missed.'}")


def met(result: Mapping[str, Any]) -> bool:
    """Does a trial cost as much less on a lane as raylab promises?"""
    return bool(result["ratio"] >= GOAL)


def _explored(conduct: Conduct) -> list[Run]:
    """Exploration's runs in the order they ended."""
    runs = [run for run in conduct.study.of_role("explore") if run.state == "finished"]
    if len(runs) < conduct.settings.trials:
        failed = next((run.error for run in conduct.study.of_role("explore") if run.error), "no reason recorded")
        raise RuntimeError(f"{len(runs)} of {conduct.settings.trials} trials finished: {failed}")
    return sorted(runs, key=lambda run: run.ended or 0.0)


def _on_a_lane(conduct: Conduct, folder: Path, workers: int) -> tuple[float, list[float]]:
    """Seconds until a lane took its first run, Ray's own start among them, and the cost of each trial after that."""
    from raylab.cluster.runner import LaneRunner, Placement

    place = Placement(folder=folder / "study", lanes=1, workers_per_lane=workers)
    place.folder.mkdir()
    first = _first(conduct)
    began = time.time()
    ledger = contextlib.closing(Ledger(place.folder))
    with ledger as open_ledger, LaneRunner(place, conduct.data.folder, conduct.study, open_ledger) as runner:
        runner.run([first])
        explored = time.time()
        runner.explore(conduct)
    started = conduct.study.runs[first.key].started or began
    runs = _explored(conduct)
    return started - began, _costs(explored, [(run.ended or 0.0, _own_s(run.seconds)) for run in runs])


def _own_s(seconds: Mapping[str, float]) -> float:
    """What a run took, less its waits for those whom it reports to."""
    return seconds["total"] - seconds["waiting"]


def _first(conduct: Conduct) -> Request:
    """A run that is no trial: with it the lane is warm."""
    recipe, seeds = conduct.space.recipe(Replay({}), conduct.settings.setting), Seeds.of(0, 1)
    key = run_key(recipe, seeds, conduct.data.fingerprint)
    return Request(recipe=recipe, seeds=seeds, role="baseline", replicate=1, key=key, label="the first")


def _costs(began: float, ends: Sequence[tuple[float, float]]) -> list[float]:
    """Of each trial the time since the end before it, less its own steps. ends: time and seconds of steps, in order."""
    before = [began, *(end for end, _ in ends)]
    return [end - previous - own for previous, (end, own) in zip(before, ends, strict=False)]


def _nested(conduct: Conduct, folder: Path, trials: int, workers: int) -> list[float]:
    """The cost of each of the first `trials` recipes as a TorchTrainer inside a trial of Ray Tune."""
    import ray
    from ray import tune

    clock = _clock()
    kept = {name: value for name in _OURS_ALONE if (value := os.environ.pop(name, None)) is not None}
    ray.init(num_cpus=workers + 1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        recipes = [run.recipe for run in (_explored(conduct) * trials)[:trials]]
        common = {"data": str(conduct.data.folder), "storage": str(folder / "nested"), "workers": workers}
        began = time.time()
        results = tune.Tuner(
            nested_trial,
            param_space={"recipe": tune.grid_search(recipes), **common},
            tune_config=tune.TuneConfig(max_concurrent_trials=1),
            run_config=tune.RunConfig(storage_path=str(folder / "nested"), name="trials", verbose=0, callbacks=[clock]),
        ).fit()
        for error in results.errors:
            raise error
        return _costs(began, clock.ends)
    finally:
        ray.shutdown()
        os.environ.update(kept)


def _clock() -> Any:
    """A Tune callback whose `ends` are when each trial ended and what its steps took; made here, as its base is Ray's."""
    from ray.tune import Callback

    class Clock(Callback):
        def __init__(self) -> None:
            self.ends: list[tuple[float, float]] = []

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            self.ends.append((time.time(), trial.last_result["steps_s"]))

    return Clock()


def nested_trial(config: dict[str, Any]) -> None:
    """A trial of Ray Tune with a trainer of its own."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.tune import get_context
    from ray.tune.integration.ray_train import TuneReportCallback

    name = f"train-{get_context().get_trial_id()}"
    TorchTrainer(
        train_recipe,
        train_loop_config={"recipe": config["recipe"], "data": config["data"]},
        scaling_config=ScalingConfig(num_workers=config["workers"]),
        run_config=RunConfig(name=name, storage_path=config["storage"], callbacks=[TuneReportCallback()]),
    ).fit()


def train_recipe(config: dict[str, Any]) -> None:
    """What each worker of a nested trainer does: what a lane's workers do."""
    import ray.train
    import torch

    from raylab.training.parallel import Parallel
    from raylab.training.progress import Result
    from raylab.trial import Execution, run_recipe

    torch.set_num_threads(1)
    parallel = Parallel.current(torch.device("cpu"))
    execution = Execution(data=Prepared(Path(config["data"])), seeds=Seeds.of(0, 0), parallel=parallel)
    for event in run_recipe(decode(Recipe, config["recipe"]), execution):
        if isinstance(event, Result):
            ray.train.report({"steps_s": _own_s(event.seconds)})
