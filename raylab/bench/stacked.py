"""Training steps of several small models computed as one stacked model, beside the same steps one after the other.

Both ways begin at the same weights and take the same batches, each model its own, in turn on one device (one thread on a CPU).
The weights are put together anew for every step, as in a search; updates, which each model makes for itself, are in neither. A
step leaves the same loss either way, up to the order of float additions; how far they are apart is told.

It pays where a step is the start of many small operations rather than their work: on a GPU, or with very few rows. On one core of
a CPU, whose products of matrices take as long for one model as they do beside others, it need not; a search finds out, and goes
one after the other there.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from raylab.bench import Compared
from raylab.data import atlas
from raylab.data.prepared import Preparation, prepare
from raylab.errors import UserError
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.training.company import Work, stacked
from raylab.training.context import Context
from raylab.training.loop import sequence_loss
from raylab.training.parallel import Parallel
from raylab.training.threads import one_thread

HELP = "training steps of several small models computed as one, beside the same one after the other"

GOAL = 3.0  # times the tokens a second, of eight models of about five million parameters on a GPU
WARM_STEPS = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the models, their size and the batch."""
    gpu = torch.cuda.is_available()
    parser.add_argument("--models", type=int, default=8, metavar="K", help="trained together (default: 8)")
    parser.add_argument(
        "--scale", choices=tuple(SIZES), default="small" if gpu else "tiny", help="(default: tiny; with a GPU small)"
    )
    parser.add_argument(
        "--width", type=int, default=192 if gpu else 0, help="of a model; 0: the scale's (default: 0; with a GPU 192)"
    )
    parser.add_argument("--layers", type=int, default=3 if gpu else 0, help="0: the scale's (default: 0; with a GPU 3)")
    parser.add_argument("--rows", type=int, default=32, help="passages of a batch of each (default: 32)")
    parser.add_argument("--steps", type=int, default=20, help="of each way (default: 20)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16" if gpu else "float32")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Tokens a second of both ways, their ratio, and how far the losses are apart."""
    if min(args.models, args.rows, args.steps) < 1 or min(args.width, args.layers) < 0:
        raise UserError("--models, --rows and --steps are counts from 1, --width and --layers from 0; expected no less.")
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        return _measure(args, Path(folder))


def _measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = SIZES[args.scale]
    data = prepare(atlas.load(), "atlas", Preparation(vocab_size=size.vocab_size, max_tokens=size.max_tokens), folder)
    spec = ModelSpec(scale=args.scale, width=args.width or None, layers=args.layers or None)
    models = [build(spec, data.tokenizer, seed).to(device).train() for seed in range(args.models)]
    stage = Denoise(policy=Uniform(), budget_tokens=1, batch_size=args.rows)
    contexts = [Context(data=data, seeds=Seeds.of(0, n), parallel=Parallel(device=device)) for n in range(args.models)]
    batches = [stage.batches(model, context) for model, context in zip(models, contexts, strict=True)]
    seconds: dict[str, list[float]] = {"one after the other": [], "together": []}
    tokens, apart = [], 0.0
    for step in range(WARM_STEPS + args.steps):
        drawn = [batch(step) for batch in batches]
        losses = []
        for way, taken in seconds.items():
            works = [
                Work(model=model, loss=sequence_loss, batch=next(one.micro_batches()), share=1 / one.target_tokens, seed=0,
                     precision=args.precision)
                for model, one in zip(models, drawn, strict=True)
            ]  # fmt: skip
            taken.append(_timed(works, way == "together", device))
            losses.append(torch.stack([work.result for work in works if work.result is not None]).double())
        tokens.append(sum(one.input_tokens + one.target_tokens for one in drawn))
        apart = max(apart, ((losses[0] - losses[1]).abs() / losses[0]).max().item())
    rates = {
        way: statistics.median(n / s for n, s in list(zip(tokens, taken, strict=True))[WARM_STEPS:])
        for way, taken in seconds.items()
    }
    return {
        "models": args.models, "parameters": sum(p.numel() for p in models[0].parameters()), "rows": args.rows,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "precision": args.precision,
        "tokens_per_s": rates, "ratio": rates["together"] / rates["one after the other"], "losses_apart": apart,
    }  # fmt: skip


def _timed(works: list[Work], together: bool, device: torch.device) -> float:
    """Seconds of one step of all the models."""
    used = {name for name, p in works[0].model.named_parameters() if p.requires_grad}
    for work in works:
        work.model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize()
    begun = time.perf_counter()
    if not (together and stacked(works, used)):
        for work in works:
            work.settle()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def met(result: Mapping[str, Any]) -> bool:
    """Is the goal reached? It is one of a GPU."""
    return bool(result["device"] == "cpu" or result["ratio"] >= GOAL)


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    rates = result["tokens_per_s"]
    return [("tokens/s of models as one; one after the other", rates["together"], rates["one after the other"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures."""
    console = Console(highlight=False)
    console.print(
        f"{result['models']} models of {result['parameters'] / 1e6:.1f}M parameters, {result['rows']} rows each, "
        f"{result['device']}, {result['precision']}"
    )
    for way, rate in result["tokens_per_s"].items():
        console.print(f"  {way}: {rate:,.0f} tokens/s")
    console.print(
        f"  {result['ratio']:.2f} times as many together; losses at most {result['losses_apart']:.1g} apart, relatively"
    )
    if result["device"] == "cpu":
        console.print(f"Goal: at least {GOAL:g} times on a GPU. Not measured here: there is none.")
