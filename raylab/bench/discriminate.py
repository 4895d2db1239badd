"""What a step of replaced token detection costs beside a masked-language-model step of the same encoder, on the same batches;
and, if asked, whether what it learns holds on text that it has not read.

Steps of both are taken in turn in one process, with one thread, and the ratio is that of their medians: what else runs on the
machine slows both alike.

Learning: on nine tenths of the atlas's passages, judged on the others. Of the tokens there, most are original: who says so of all
of them is right as often as the majority class is frequent, and an encoder that has learned to tell is right more often.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from raylab.app.steps import Teller
from raylab.bench import Compared
from raylab.data import atlas
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.models.replaced import judged
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec, Stage
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.discriminate import Discriminate
from raylab.training.context import Context
from raylab.training.optimizer import Optimization
from raylab.training.progress import Progress
from raylab.training.threads import one_thread

HELP = "a step of replaced token detection (ELECTRA) beside a masked-language-model step; with --learn, what it learns"

GOAL = 1.35  # times the masked-language-model step
WARM_STEPS = 3
TENTH = 10  # every tenth passage is not read
JUDGED = 60  # batches in which those are hidden anew


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the model's scale, the batch and the number of steps."""
    parser.add_argument("--scale", choices=tuple(SIZES), default="tiny", help="of the encoder (default: tiny)")
    parser.add_argument("--rows", type=int, default=32, help="passages of a batch (default: 32)")
    parser.add_argument("--steps", type=int, default=40, help="steps of each kind (default: 40)")
    parser.add_argument("--learn", type=int, default=0, metavar="TOKENS", help="train on so many corpus tokens (default: 0)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of --learn (default: 0.001)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Median CPU milliseconds of a step of each kind, and their ratio; what was learned."""
    if min(args.rows, args.steps) < 1 or args.learn < 0:
        raise UserError("--rows, --steps and --learn are counts; expected at least 1 of the first two.")
    size = SIZES[args.scale]
    how = Preparation(vocab_size=size.vocab_size, max_tokens=size.max_tokens)
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        measured = _measure(args.scale, args.rows, args.steps, how, Path(folder))
        stage = Discriminate(
            policy=Uniform(rate=0.15), batch_size=args.rows, budget_tokens=max(1, args.learn),
            optimization=Optimization(learning_rate=args.learning_rate),
        )  # fmt: skip
        return {**measured, "learned": _learned(stage, args.scale, how, Path(folder)) if args.learn else {}}


def _measure(scale: Any, rows: int, steps: int, how: Preparation, folder: Path) -> dict[str, Any]:
    data = prepare(atlas.load(), "atlas", how, folder)
    reading: dict[str, Any] = {
        "policy": Uniform(rate=0.15), "batch_size": rows, "budget_tokens": 2 * (steps + WARM_STEPS) * rows * how.max_tokens,
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


def _learned(stage: Discriminate, scale: Any, how: Preparation, folder: Path) -> dict[str, float]:
    """The share of tokens of unread passages that are told right, and that of the majority class among them."""
    whole = atlas.load()
    apart = [tuple(p for n, p in enumerate(whole.corpus) if (n % TENTH == 0) is unread) for unread in (False, True)]
    read = prepare(replace(whole, corpus=apart[0]), "read", how, folder)
    unread = prepare(replace(whole, corpus=apart[1]), "unread", replace(how, tokenizer=str(read.folder / "tokenizer")), folder)
    context, others = (Context(data=data, seeds=Seeds.of(0, 0), stage=stage.name()) for data in (read, unread))
    pair = stage.pair(build(ModelSpec(family="roberta", scale=scale), read.tokenizer, seed=0), context)
    teller = Teller()
    for progress in stage.train(pair, context):
        teller(progress)
        steps = progress.step
    batches = stage.batches(pair.eval().body, others)
    told = [judged(pair, micro) for step in range(JUDGED) for micro in batches(step).micro_batches()]
    replaced_N, said_N = (torch.cat(column) for column in zip(*told, strict=True))
    original = 1 - replaced_N.float().mean().item()
    return {
        "steps": steps, "accuracy": (replaced_N == said_N).float().mean().item(), "majority": max(original, 1 - original),
        "tokens": len(replaced_N),
    }  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("ms a step of ELECTRA; a masked language model's", result["discriminate_ms"], result["mlm_ms"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures."""
    Console().print(
        f"A step of {result['rows']} passages at the scale {result['scale']}, medians of {result['steps']}:\n"
        f"masked language model {result['mlm_ms']:.1f} ms, replaced token detection {result['discriminate_ms']:.1f} ms, "
        f"{result['ratio']:.2f} times as much.",
        highlight=False,
    )
    if learned := result["learned"]:
        Console().print(
            f"After {learned['steps']:,} steps of learning, of {learned['tokens']:,} tokens in passages that it has not read "
            f"{learned['accuracy']:.2%} are told right; the majority class is {learned['majority']:.2%} of them.",
            highlight=False,
        )
    goal = f"Goal: at most {GOAL} times{', and better than the majority class' if learned else ''}."
    Console().print(f"{goal} {'Met.' if met(result) else 'Missed.'}", highlight=False)


def met(result: Mapping[str, Any]) -> bool:
    """Does it cost no more than it should, and has it learned to tell?"""
    learned = result["learned"]
    return bool(result["ratio"] <= GOAL and (not learned or learned["accuracy"] > learned["majority"]))
