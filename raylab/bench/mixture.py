"""What many tasks cost beside one: in a step of pre-finetuning, before the first step, and in memory.

The tasks are invented: short texts of random words, each task with words of its own and two classes; so that the family, the
lengths and the work of a step are the same on both sides, however many tasks it is of. Both sides train in turn in one
process, with one thread, on the same prepared data; seconds are the processor's. What happens before the first step is done
in a process of its own, after its imports: the tasks are found where they were left, compared with the target, mapped, and
the first batch is made. Memory is what that process holds by itself; what is mapped of files can be dropped at any time.
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from raylab.app.preparation import ready
from raylab.app.sources import Wanted, sources_of
from raylab.bench import Compared
from raylab.data.prepared import Prepared
from raylab.data.remembered import load_again
from raylab.data.source import DataRequest
from raylab.errors import UserError
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.seeds import Seeds
from raylab.stages.pre_finetune import PreFinetune
from raylab.training.context import Context
from raylab.training.threads import one_thread

HELP = "what 30 tasks cost beside 1: a step of pre-finetuning, the start, memory"

RATIO = 0.9  # of one task's examples a second, with many
START_S = 5.0  # before the first step, with many
GROWTH = 0.1  # of what more examples take on disk, in memory
WARM_STEPS = 3
WORDS, LONG = 400, 12  # a task's vocabulary, and an example's length
SPEC = ModelSpec(family="roberta", scale="tiny")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add how many tasks, of what size, and how long is measured."""
    parser.add_argument("--tasks", type=int, default=30, metavar="N", help="on the side of many (default: 30)")
    parser.add_argument("--examples", type=int, default=1000, metavar="N", help="of each task (default: 1000)")
    parser.add_argument("--steps", type=int, default=40, metavar="N", help="of a turn (default: 40)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each side (default: 5)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Examples a processor second of both sides and their ratio, seconds before the first step, megabytes."""
    if args.tasks < 2 or args.rounds < 1 or args.steps <= WARM_STEPS or args.examples < 100:
        raise UserError(f"expected --tasks from 2, --rounds from 1, --steps from {WARM_STEPS + 1}, --examples from 100.")
    with tempfile.TemporaryDirectory(prefix="raylab-mixture-", ignore_cleanup_errors=True) as folder, _alone(Path(folder)):
        many, large = Path(folder) / "many", Path(folder) / "large"
        _write(many, args.tasks, args.examples)
        _write(large, args.tasks, 4 * args.examples)
        first, start = (_started(many), _started(many))
        grown = (_started(large), _started(large))[1]
        return {
            "tasks": args.tasks, "examples": args.examples, "rounds": args.rounds, **_speed(many, args),
            "cold_start_s": first["seconds"], "start_s": start["seconds"], "memory_mb": start["memory_mb"],
            "memory_growth_mb": grown["memory_mb"] - start["memory_mb"], "disk_growth_mb": grown["disk_mb"] - start["disk_mb"],
        }  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("examples/s of many tasks; of one", result["many"], result["one"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures."""
    told = (
        f"{result['tasks']} tasks: {result['many']:.0f} examples a processor second; one of them: {result['one']:.0f}; median "
        f"ratio of {result['rounds']} turns: {result['ratio']:.2f}. Goal: at least {RATIO}.",
        f"Before the first step, once prepared: {result['start_s']:.1f} processor seconds; the first time: "
        f"{result['cold_start_s']:.1f}. Goal: under {START_S:g}.",
        f"With four times the examples {result['disk_growth_mb']:.1f} MB more on disk, {result['memory_growth_mb']:+.1f} MB in "
        f"memory. Goal: at most {GROWTH:.0%} of it. {'Met.' if met(result) else 'Missed.'}",
    )
    Console().print("\n".join(told), highlight=False)


def met(result: Mapping[str, Any]) -> bool:
    """Do many tasks cost no more than they may?"""
    return bool(
        result["ratio"] >= RATIO and result["start_s"] < START_S
        and result["memory_growth_mb"] <= GROWTH * result["disk_growth_mb"]
    )  # fmt: skip


def _write(folder: Path, tasks: int, examples: int) -> None:
    """A target and so many other tasks, as a person's folders."""
    for number in range(tasks + 1):
        draw = random.Random(number)
        words = [f"{''.join(draw.choices('bdfgklmnprst', k=2))}{draw.choice('aeiou')}{number}" for _ in range(WORDS)]
        rows = [{"text": " ".join(draw.choices(words, k=LONG)), "label": draw.randrange(2)} for _ in range(examples)]
        path = folder / f"task{number:02}"
        path.mkdir(parents=True)
        (path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _prepared(folder: Path) -> Prepared:
    """The first task with all others as its sources, as a search prepares them."""
    request = DataRequest(dataset="task00", data_dir=folder)
    target = load_again(request)
    others = [path.name for path in sorted(folder.glob("task*"))][1:]
    sources = sources_of(target, request, Wanted(named=others, writes=False))
    return ready(target, SPEC, folder / "storage", sources=sources.others)


def _speed(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    data = _prepared(folder)
    names = tuple(data.sources)
    turns = [[_examples_a_second(data, tasks, args.steps, turn) for tasks in (names, names[:1])] for turn in range(args.rounds)]
    many, one = (statistics.median(side) for side in zip(*turns, strict=True))
    return {"many": many, "one": one, "ratio": statistics.median(ours / theirs for ours, theirs in turns)}


def _examples_a_second(data: Prepared, tasks: tuple[str, ...], steps: int, seed: int) -> float:
    stage = PreFinetune(tasks=tasks, steps=steps)
    context = Context(data=data, seeds=Seeds.of(0, seed), stage=stage.name())
    model = stage.equip(build(SPEC, data.tokenizer, 0), context)
    ends = [time.process_time() for _ in stage.run(model, context)]
    return stage.batch_size * (steps - WARM_STEPS) / (ends[-1] - ends[WARM_STEPS - 1])


def _started(folder: Path) -> dict[str, float]:
    """What a process does and holds before its first step. It is a fresh one: nothing is left of an earlier one but files."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_start, (folder,))


def _start(folder: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    before_s, before_mb = time.process_time(), _held_mb()
    data = _prepared(folder)
    stage = PreFinetune(tasks=tuple(data.sources), steps=1)
    context = Context(data=data, seeds=Seeds.of(0, 0), stage=stage.name())
    model = stage.equip(build(SPEC, data.tokenizer, 0), context)
    stage.batches(model, context)(0)
    disk = sum(path.stat().st_size for path in (folder / "storage").rglob("*") if path.is_file())
    return {
        "seconds": time.process_time() - before_s, "memory_mb": _held_mb() - before_mb, "disk_mb": disk / 1e6
    }  # fmt: skip


def _held_mb() -> float:
    """What this process holds by itself, without what it has mapped of files."""
    rows = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("RssAnon")) / 1e3


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One thread, and a cache of its own."""
    cache = os.environ.get("RAYLAB_CACHE")
    os.environ["RAYLAB_CACHE"] = str(folder / "cache")
    try:
        with one_thread():
            yield
    finally:
        del os.environ["RAYLAB_CACHE"]
        os.environ |= {"RAYLAB_CACHE": cache} if cache is not None else {}
