"""Where the seconds of one trial go: part by part, and stage by stage with the operations of a step.

A recipe is run as a lane runs it, from its model's start to its scores on dev, judged at the rungs that a search has, with one
thread; nothing is kept. Operations are those of the useful tokens (raylab.models.flops). Their share of what the device can do
at most (MFU, Chowdhery et al. 2022, arXiv 2204.02311) is told where that is known.

Parts: `start` builds the model, `data` gathers and pads, `masking` draws what is hidden, `exchange` adds up gradients of several
workers, `rungs` are the short finetunings on the way that decide which trials go on, `waiting` is for those whom the run reports
to.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from raylab.app.console import console, table
from raylab.app.preparation import load_prepared
from raylab.app.run import read_recipe
from raylab.bench import Compared
from raylab.data.source import DataRequest
from raylab.errors import UserError
from raylab.masking.policies.uniform import Uniform
from raylab.models.peaks import peak_flops
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec, Recipe
from raylab.search.study import RUNGS
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress, Result
from raylab.training.threads import one_thread
from raylab.trial import Execution, run_recipe

HELP = "where the seconds of a trial go, by part and by stage, with operations a step"

GOAL = 0.2  # of a trial's seconds: what judging it on the way may take


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the recipe and the device."""
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="a recipe's JSON (default: uniform masking, as a search has it)"
    )
    parser.add_argument("--scale", choices=tuple(SIZES), default="tiny", help="of the default recipe (default: tiny)")
    parser.add_argument("--tokens", type=int, metavar="N", help="corpus tokens of the default recipe (default: a search's)")
    parser.add_argument("--dataset", default="atlas", metavar="NAME_OR_PATH", help="what it is run on (default: atlas)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="a folder with a folder for each dataset and corpus")
    parser.add_argument("--corpus", metavar="NAME_OR_PATH", help="the passages that pretraining reads")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="(default: cpu)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run it once."""
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no GPU on this machine.")
    recipe = _recipe(args)
    with one_thread(), tempfile.TemporaryDirectory(prefix="raylab-profile-", ignore_cleanup_errors=True) as folder:
        _, data = load_prepared(_request(args), recipe.base, Path(folder))
        device = torch.device(args.device)
        execution = Execution(
            data=data, seeds=Seeds.of(0, 0), parallel=Parallel(device=device), rungs=RUNGS, folder=Path(folder) / "run"
        )
        steps: dict[str, list[Progress]] = defaultdict(list)
        for event in run_recipe(recipe, execution):
            if isinstance(event, Progress):
                steps[event.stage].append(event)
            elif isinstance(event, Result):
                result = event
    parts = {part: seconds for part, seconds in result.seconds.items() if part != "total"}
    total = result.seconds["total"]
    return {
        "seconds": parts, "total_s": total, "shares": {part: seconds / total for part, seconds in parts.items()},
        "stages": [_stage(name, taken, peak_flops(device, recipe.base)) for name, taken in steps.items()],
        "peak_memory_bytes": dict(result.memory), "device": args.device, "precision": recipe.base.precision,
    }  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("share of a trial that judges it on the way; goal", result["shares"].get("rungs", 0.0), GOAL)]


def show(result: Mapping[str, Any]) -> None:
    """Print both tables."""
    parts = sorted(result["seconds"].items(), key=lambda part: -part[1])
    rows = [[part.replace("_", " "), f"{seconds:.2f}", f"{result['shares'][part]:.1%}"] for part, seconds in parts]
    console().print(table("part", ">seconds", ">share", rows=[*rows, ["total", f"{result['total_s']:.2f}", ""]]))
    console().print()
    stages = [
        [stage["stage"], str(stage["steps"]), f"{1e3 * stage['step_s']:.1f}", f"{stage['step_flops'] / 1e9:.2f}",
         f"{stage['padding_share']:.1%}",
         f"{stage['flops_per_s'] / 1e9:.1f}", "not measured" if stage["mfu"] is None else f"{stage['mfu']:.1%}"]
        for stage in result["stages"]
    ]  # fmt: skip
    console().print(table("stage", ">steps", ">ms a step", ">GFLOP a step", ">padding", ">GFLOP/s", ">MFU", rows=stages))
    held = ", ".join(f"{place} {size / 2**20:,.0f} MiB" for place, size in result["peak_memory_bytes"].items())
    console().print(f"\nMost memory held: {held}.")
    share = result["shares"].get("rungs", 0.0)
    verdict = "Met." if met(result) else "Missed."
    console().print(f"Goal: judging a trial on the way takes at most {GOAL:.0%} of it; here {share:.1%}. {verdict}")


def met(result: Mapping[str, Any]) -> bool:
    """Is a trial judged at as little cost as it should be?"""
    return bool(result["shares"].get("rungs", 0.0) <= GOAL)


def _request(args: argparse.Namespace) -> DataRequest:
    return DataRequest(dataset=args.dataset, data_dir=args.data_dir, corpus=args.corpus)


def _recipe(args: argparse.Namespace) -> Recipe:
    """The one in the file, or what a search that is told nothing would begin with."""
    if args.recipe is None:
        from raylab.app.search_options import BUDGETS  # which imports Ray

        budget_tokens, finetune_steps = BUDGETS[args.scale]
        tokens = args.tokens or budget_tokens
        stage = Denoise(policy=Uniform(), budget_tokens=tokens)
        finetune = Finetune(steps=max(1, round(tokens / budget_tokens * finetune_steps)))
        return Recipe(base=ModelSpec(scale=args.scale), stages=(stage,), task=args.dataset, finetune=finetune)
    return read_recipe(args.recipe, f"--recipe {args.recipe}")


def _stage(name: str, steps: list[Progress], peak: float | None) -> dict[str, Any]:
    """A stage's steps together, its first one, which warms up, left out if there are others."""
    counted = steps[1:] or steps
    seconds, flops = sum(sum(step.seconds.values()) for step in counted), sum(step.flops for step in counted)
    inputs, targets = (sum(getattr(step, kind) for step in counted) for kind in ("input_tokens", "target_tokens"))
    return {
        "stage": name.split("-", 1)[-1], "steps": len(steps), "step_s": seconds / len(counted),
        "padding_share": sum(step.padding for step in counted) / max(1, sum(step.positions for step in counted)),
        "step_flops": flops / len(counted), "flops_per_s": flops / seconds, "tokens_per_s": (inputs + targets) / seconds,
        "mfu": None if peak is None else flops / seconds / peak,
    }  # fmt: skip
