"""What a step of replaced token detection costs beside a masked-language-model step of the same encoder, on the same batches.

Steps of both are taken in turn in one process, with one thread, and the ratio is that of their medians: what else runs on the
machine slows both alike.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from raylab.data import atlas
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec, Stage
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.discriminate import Discriminate
from raylab.training.context import Context
from raylab.training.progress import Progress

HELP = "a step of replaced token detection (ELECTRA) beside a masked-language-model step"

GOAL = 1.35  # times the masked-language-model step
WARM_STEPS = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the model's scale, the batch and the number of steps."""
    parser.add_argument("--scale", choices=tuple(SIZES), default="tiny", help="of the encoder (default: tiny)")
    parser.add_argument("--rows", type=int, default=32, help="passages of a batch (default: 32)")
    parser.add_argument("--steps", type=int, default=40, help="steps of each kind (default: 40)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Median CPU milliseconds of a step of each kind, and their ratio."""
    if min(args.rows, args.steps) < 1:
        raise UserError("--rows and --steps are counts; expected at least 1 of each.")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _measure(args.scale, args.rows, args.steps, Path(folder))
    finally:
        torch.set_num_threads(threads)


def _measure(scale: Any, rows: int, steps: int, folder: Path) -> dict[str, Any]:
    size = SIZES[scale]
    data = prepare(atlas.load(), "atlas", Preparation(vocab_size=size.vocab_size, max_tokens=size.max_tokens), folder)
    reading: dict[str, Any] = {
        "policy": Uniform(rate=0.15), "batch_size": rows, "budget_tokens": 2 * (steps + WARM_STEPS) * rows * size.max_tokens,
    }  # fmt: skip
    kinds = {"mlm": Denoise(target="tokens", **reading), "discriminate": Discriminate(**reading)}
    begun = {name: _steps(stage, scale, data) for name, stage in kinds.items()}
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for step in range(WARM_STEPS + steps):
        for name, run in begun.items():
            before = time.process_time()
            next(run)
            if step >= WARM_STEPS:
                taken[name].append(1e3 * (time.process_time() - before))
    mlm, discriminate = (statistics.median(taken[name]) for name in kinds)
    return {
        "scale": scale,
        "rows": rows,
        "steps": steps,
        "mlm_ms": mlm,
        "discriminate_ms": discriminate,
        "ratio": discriminate / mlm,
    }


def _steps(stage: Stage, scale: Any, data: Prepared) -> Iterator[Progress]:
    model = build(ModelSpec(family="roberta", scale=scale), data.tokenizer, seed=0)
    yield from stage.run(model, Context(data=data, seeds=Seeds.of(0, 0), stage=stage.name()))


def show(result: Mapping[str, Any]) -> None:
    """Print the figures."""
    Console().print(
        f"A step of {result['rows']} passages at the scale {result['scale']}, medians of {result['steps']}:\n"
        f"masked language model {result['mlm_ms']:.1f} ms, replaced token detection {result['discriminate_ms']:.1f} ms, "
        f"{result['ratio']:.2f} times as much.\nGoal: at most {GOAL}. {'Met.' if met(result) else 'Missed.'}",
        highlight=False,
    )


def met(result: Mapping[str, Any]) -> bool:
    """Does it cost no more than it should?"""
    return bool(result["ratio"] <= GOAL)
