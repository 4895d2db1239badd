"""The training core beside transformers' Trainer: the same model from the same weights, data, batch, schedule, device and
precision, each with what makes it fastest.

The Trainer has rows of like length together (`group_by_length`), fused AdamW, neither logs nor checkpoints, and its own
collators where it has them (raylab's vectorised one where it has none: span corruption). Both have one thread of the processor
and take turns; the ratio is the median of the turns'. On a CPU seconds are those of the processor, so that what else runs on the
machine does not count; on a GPU they are those of the clock. The first steps of a run are left out.

Both models are then asked on the same batches, with masks that neither has seen. Each turn has seeds of its own, weights and
order of rows among them, and what the two sides draw differs: raylab's loss is no worse if the 99 % interval of the paired
differences reaches 0, or lies below it.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from raylab.bench import Compared
from raylab.bench._training.cases import CASES, Case
from raylab.bench._training.peer import train
from raylab.data import atlas
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.models.build import build
from raylab.models.sizes import SIZES
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.context import Context
from raylab.training.parallel import Parallel
from raylab.training.threads import one_thread
from raylab.verdict.paired import paired_difference

HELP = "examples a second of the training core, beside transformers' Trainer"
MINUTES = 5

GOAL = 1.5  # times the Trainer's
WARM_STEPS = 3
ASKED_BATCHES = 8
CONFIDENCE = 0.99  # of a row's interval: with six rows, chance alone would often miss one of 95 %
SCALES = {"tiny": (32, 64), "small": (16, 12)}  # batch and steps of a run


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is trained, on what, how often."""
    parser.add_argument("--case", choices=tuple(CASES), action="append", help="what is trained, several times (default: all)")
    parser.add_argument("--scale", choices=tuple(SCALES), action="append", help="of the model, several times (default: all)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of each side (default: 3)")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of a run (default: 64 at tiny, 12 at small)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="(default: cpu)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of both (default: float32)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Every case at every scale; on top, the one with the smallest ratio."""
    if args.rounds < 2 or (args.steps is not None and args.steps <= WARM_STEPS):
        raise UserError(f"--rounds is a count from 2, --steps one from {WARM_STEPS + 1}; expected no less.")
    if importlib.util.find_spec("accelerate") is None:
        raise UserError("transformers' Trainer needs accelerate, which is not installed: pip install 'accelerate>=1.1'.")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no GPU on this machine.")
    with tempfile.TemporaryDirectory(prefix="raylab-training-", ignore_cleanup_errors=True) as folder, one_thread():
        rows = [_measured(name, scale, args, Path(folder)) for scale in args.scale or SCALES for name in args.case or CASES]
    least = min(rows, key=lambda row: row["ratio"])
    named = ("case", "scale", "ratio", "ours", "peer", "loss_ours", "loss_peer")
    no_worse = all(row["loss_no_worse"] for row in rows)
    return {**{name: least[name] for name in named}, "loss_no_worse": no_worse, "rounds": args.rounds, "device": args.device,
            "precision": args.precision, "rows": rows}  # fmt: skip


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    rows = result["rows"]
    return [(f"examples/s, {CASES[row['case']].told}, {row['scale']}; Trainer", row["ours"], row["peer"]) for row in rows]


def show(result: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    title = f"Examples/s, {result['device']}, {result['precision']}, one thread, medians of {result['rounds']} turns"
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", "raylab", "Trainer", "times", "loss", "Trainer's", "difference"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for row in result["rows"]:
        low, high = row["loss_interval"]
        table.add_row(
            f"{CASES[row['case']].told}, {row['scale']}", f"{row['ours']:.3g}", f"{row['peer']:.3g}", f"{row['ratio']:.2f}",
            f"{row['loss_ours']:.3f}", f"{row['loss_peer']:.3f}", f"[{low:+.2f}, {high:+.2f}]",
        )  # fmt: skip
    Console().print(table)
    verdict = "Met." if met(result) else "Missed."
    Console().print(
        f"Goal: at least {GOAL} times in every row, at a loss that is no worse within the noise of seeds. {verdict}",
        highlight=False,
    )


def met(result: Mapping[str, Any]) -> bool:
    """Is the core as much faster everywhere as it should be, and learns no less?"""
    return bool(result["ratio"] >= GOAL and result["loss_no_worse"])


def _measured(name: str, scale: Any, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    size, (batch_size, steps) = SIZES[scale], SCALES[scale]
    data = prepare(atlas.load(), "atlas", Preparation(vocab_size=size.vocab_size, max_tokens=size.max_tokens), folder)
    sides = _Sides(
        case=CASES[name], scale=scale, data=data, batch_size=batch_size, steps=args.steps or steps, precision=args.precision,
        device=torch.device(args.device), folder=folder,
    )  # fmt: skip
    turns = [(sides.ours(seed), sides.peer(seed)) for seed in range(args.rounds)]
    (ours, losses_ours), (peer, losses_peer) = (zip(*side_turns, strict=True) for side_turns in zip(*turns, strict=True))
    interval = paired_difference(losses_ours, losses_peer, CONFIDENCE).interval
    assert interval is not None
    return {
        "case": name, "scale": scale, "batch_size": batch_size, "steps": sides.steps,
        "ours": statistics.median(ours), "peer": statistics.median(peer),
        "ratio": statistics.median(one / other for one, other in zip(ours, peer, strict=True)),
        "loss_ours": float(np.mean(losses_ours)), "loss_peer": float(np.mean(losses_peer)),
        "loss_interval": [interval.low, interval.high], "loss_no_worse": interval.low <= 0,
    }  # fmt: skip


Turn = tuple[float, list[float]]  # examples a second, and the loss of each of the batches that are asked


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sides:
    """Both sides of a case."""

    case: Case
    scale: Any
    data: Prepared
    batch_size: int
    steps: int
    precision: Any
    device: torch.device
    folder: Path

    def ours(self, seed: int) -> Turn:
        model, stage, context = self._begun(seed)
        clock = _Clock(self.device)
        for _ in stage.run(model, context):
            clock.step()
        return self._told(clock, model)

    def peer(self, seed: int) -> Turn:
        model, stage, context = self._begun(seed)
        rows, collate = self.case.peer(self.data, context.seeds.mask)
        clock = _Clock(self.device)
        train(
            model, rows, collate, stage.optimization, self.folder / "trainer", steps=len(stage.reads(context)),
            batch_size=self.batch_size, seed=seed, on_gpu=self.device.type == "cuda", bfloat16=self.precision == "bfloat16",
            ended=clock.step,
        )  # fmt: skip
        return self._told(clock, model)

    def _begun(self, seed: int) -> tuple[Any, Denoise | Finetune, Context]:
        spec, seeds = self.case.spec(self.scale, self.precision), Seeds.of(0, seed)
        stage = self.case.stage(spec, self.steps, self.batch_size, self.data)
        model = build(spec, self.data.tokenizer, seeds.init).to(self.device)
        parallel = Parallel(device=self.device)
        return model, stage, Context(data=self.data, seeds=seeds, parallel=parallel, precision=self.precision)

    def _told(self, clock: "_Clock", model: Any) -> Turn:
        return self.batch_size / clock.step_s(), self._losses(model)

    @torch.inference_mode()
    def _losses(self, model: Any) -> list[float]:
        """Nats a target of batches that no seed of training has drawn, the same for all seeds."""
        _, stage, context = self._begun(-1)
        model.eval()
        batches = [stage.batches(model, context)(step) for step in range(ASKED_BATCHES)]
        return [
            sum(float(self.case.loss(model, micro)) for micro in batch.micro_batches()) / batch.target_tokens for batch in batches
        ]


class _Clock:
    """The seconds of a run's steps: the processor's, or with a GPU those of the clock."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ends: list[float] = []

    def step(self) -> None:
        """A step has ended."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            self.ends.append(time.perf_counter())
        else:
            self.ends.append(time.process_time())

    def step_s(self) -> float:
        """The mean of those after the first ones."""
        return (self.ends[-1] - self.ends[WARM_STEPS - 1]) / (len(self.ends) - WARM_STEPS)
