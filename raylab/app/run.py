"""`raylab run RECIPE.json`: one recipe, one seed, in this process; no Ray, no search."""

import argparse
import json
from pathlib import Path
from typing import Any

from raylab.app.console import console, figure, print_json, table
from raylab.app.data_options import add_data_arguments, add_source_arguments, request_from
from raylab.app.steps import Teller
from raylab.app.storage import add_storage_argument
from raylab.errors import Diverged, OutOfMemory, UserError
from raylab.recipe import Recipe, decode

HELP = "run one recipe with one seed, without a search"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE.json", help="a recipe, e.g. of an exported winner")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the study it belongs to (default: 0)")
    parser.add_argument("--replicate", type=int, default=0, metavar="R", help="which of the seeds derived from it (default: 0)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write the finetuned model there")
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="CPU threads (default: 1, as a search's workers; sums differ with others)",
    )
    add_storage_argument(parser, "where prepared data and checkpoints lie")
    parser.add_argument(
        "--plugins", type=Path, action="append", default=[], metavar="DIR", help="your own policies, laid out like raylab/"
    )
    parser.add_argument("--json", action="store_true", help="make the last line of standard output one JSON object")
    add_data_arguments(parser)
    add_source_arguments(parser.add_argument_group("tasks that the recipe learns before, all that its search had"))


def run(args: argparse.Namespace) -> int:
    """Exit 0 with scores on dev and test, 1 if the run diverged or did not fit. Stopped, it goes on from its checkpoint."""
    from raylab.registry import add_plugins

    for folder in args.plugins:
        add_plugins(folder)
    recipe = read_recipe(args.recipe, str(args.recipe))
    if args.save and args.save.exists() and any(args.save.iterdir()):
        raise UserError(f"--save {args.save} is not empty. Give a new folder.")
    if args.threads < 1:
        raise UserError(f"--threads is {args.threads}; expected 1 or more.")
    try:
        result = _run(recipe, args)
    except Diverged as error:
        console().print(f"diverged: {error}")
        return 1
    except OutOfMemory as error:
        console().print(f"out of memory: {error}", markup=False)
        return 1
    if args.json:
        print_json(result)
    return 0


def read_recipe(path: Path, told: str) -> Recipe:
    """The recipe in a JSON file. told: how messages name the file."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read {told}: {error.strerror}. Give a recipe file, e.g. recipe.json of `raylab export`."
        ) from error
    except ValueError as error:
        raise UserError(f"{told} is not JSON: {error}.") from error
    return decode(Recipe, plain)


def _run(recipe: Any, args: argparse.Namespace) -> dict[str, Any]:
    import torch
    from transformers.utils import logging

    from raylab.app.environment import gpus_here
    from raylab.app.preparation import load_for, ready, usable
    from raylab.app.sources import Sources, Wanted, sources_of
    from raylab.models.build import is_encoder_decoder
    from raylab.recipe import run_key
    from raylab.seeds import Seeds
    from raylab.training.memory import Memory
    from raylab.training.parallel import Parallel
    from raylab.training.progress import Notice, Progress, Result
    from raylab.trial import Execution, device_of, run_recipe

    torch.set_num_threads(args.threads)
    logging.disable_progress_bar()
    storage = usable(args.storage)
    request = request_from(args)
    task, sources = load_for(request, recipe.base.pretrained), Sources()
    if args.sources:
        sources = sources_of(task, request, Wanted.of(vars(args), writes=is_encoder_decoder(recipe.base)))
    data = ready(task, recipe.base, storage.here, sources=sources.others)
    seeds = Seeds.of(args.seed, args.replicate)
    key = run_key(recipe, seeds, data.fingerprint)
    for warning in task.warnings:
        console().print(f"Warning: {warning}", style="yellow")
    execution = Execution(
        data=data, seeds=seeds, parallel=Parallel(device=device_of(gpus_here())), splits=("dev", "test"),
        folder=storage / "single" / key, keep_model=args.save, memory=Memory(storage.here / "memory"),
    )  # fmt: skip
    teller = Teller()
    for event in run_recipe(recipe, execution):
        if isinstance(event, Progress):
            teller(event)
        elif isinstance(event, Notice):
            console().print(f"Note: {event.text}", markup=False)
        elif isinstance(event, Result):
            return _tell(event, {"key": key, "dataset": task.name, "source": task.source, "fingerprint": data.fingerprint})
    raise AssertionError("a run ends in its result")


def _tell(result: Any, identity: dict[str, Any]) -> dict[str, Any]:
    from raylab.data.scoring import HIGHER_IS_BETTER

    there = [m for m in HIGHER_IS_BETTER if f"test_{m}" in result.metrics]
    rows = [[m.replace("_", " "), *(figure(result.metrics[f"{split}_{m}"], 3) for split in ("dev", "test"))] for m in there]
    console().print(table("measure", ">dev", ">test", rows=rows))
    console().print(f"run {identity['key']}: {result.seconds['total']:.0f} s, {result.metrics['tokens']:,} corpus tokens")
    return {**identity, "metrics": dict(result.metrics), "seconds": dict(result.seconds), "memory": dict(result.memory)}
