"""What an episode of meta-learned masking costs beside the plain training steps that it contains.

A few episodes of the default kind, at the tiny scale on the atlas: an inner pretraining step, an inner finetuning step, the loss
on held-out questions, the way back through both updates, and their share of the policy's updates. Beside them the same batches as
plain steps: forward, backward, AdamW. In turns, so that what else the machine does falls on both; the ratio is that of each turn.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from raylab.bench import Compared
from raylab.data import atlas
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.source import fingerprint
from raylab.errors import UserError
from raylab.masking.learned.meta.base import Base
from raylab.masking.learned.meta.config import Meta
from raylab.masking.learned.meta.episode import Episode, Material
from raylab.masking.learned.meta.learn import folds_of, pairs_of, uniform_start
from raylab.masking.learned.meta.source import Source, drawn_by, log_probs
from raylab.models.sizes import SIZES
from raylab.training.batching import MicroBatch
from raylab.training.loop import sequence_loss
from raylab.training.parallel import Parallel
from raylab.training.threads import one_thread

HELP = "what a meta-learning episode costs beside the plain steps it contains"
GOAL = 4.0  # times the plain steps
EPISODES = 8  # of a turn


def configure(parser: argparse.ArgumentParser) -> None:
    """The number of turns, and what an episode is."""
    parser.add_argument("--turns", type=int, default=9, help="turns of which the median counts (default: 9)")
    parser.add_argument(
        "--estimator", default=Meta().estimator, help="how the policy's gradient is estimated (default: %(default)s)"
    )
    parser.add_argument("--inner-steps", type=int, default=1, help="inner pretraining steps (default: 1)")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of CPU of this process, with one thread."""
    if args.turns < 1:
        raise UserError(f"--turns is {args.turns}; expected at least 1.")
    config = Meta(
        estimator=args.estimator, inner_pretraining=args.inner_steps, questions=max(Meta().questions, args.inner_steps),
        base_pretraining=5, base_finetuning=5,
    )  # fmt: skip
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        return _measure(config, args.turns, Path(folder))


def _measure(config: Meta, turns: int, folder: Path) -> dict[str, Any]:
    task, size = atlas.load(), SIZES["tiny"]
    data = prepare(task, fingerprint(task), Preparation(vocab_size=size.vocab_size, max_tokens=size.max_tokens), folder)
    source = _source(config, data)
    policy = uniform_start(config, len(data.tokenizer), 0)
    model = source.base.proxy.model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    episodes, plain = [], []
    for turn in range(turns + 1):
        begun = time.process_time()
        drawn = drawn_by(policy, [source], 0, range(turn * EPISODES, (turn + 1) * EPISODES))
        for _ in range(config.updates * config.batch // config.episodes):  # as often as an episode serves
            scores = log_probs(policy, [one.episode for one in drawn])
            charged = [one.estimate.charge(log_p) for one, log_p in zip(drawn, scores, strict=True)]
            torch.autograd.grad(torch.stack(charged).sum(), list(policy.parameters()))
        between = time.process_time()
        for one in drawn:
            _plainly(model, optimizer, one.episode)
        episodes.append(between - begun)
        plain.append(time.process_time() - between)
    ratios = np.array(episodes[1:]) / np.array(plain[1:])  # the first turn warms up
    return {
        "estimator": config.estimator, "inner_steps": config.inner_pretraining, "turns": turns,
        "episode_s": float(np.median(episodes[1:])) / EPISODES, "plain_s": float(np.median(plain[1:])) / EPISODES,
        "ratio": float(np.median(ratios)), "goal": GOAL,
    }  # fmt: skip


def _source(config: Meta, data: Prepared) -> Source:
    folds = folds_of(pairs_of(config, data, data.corpus.tokenised(), "train"), config, data.task, 0)
    supporting = np.unique([pair.question for pair in folds[1]])
    base = Base(Material(data, Parallel().device), config, supporting, 0, Parallel())
    for _ in base.train("inner model"):
        pass
    return Source(base, folds[0])


def _plainly(model: torch.nn.Module, optimizer: torch.optim.Optimizer, episode: Episode) -> None:
    """Every batch that the episode read, as a plain step."""
    model.train()
    for batch, _ in episode.read:
        optimizer.zero_grad()
        (sequence_loss(model, batch) / _targets(batch)).backward()
        optimizer.step()
    model.eval()


def _targets(batch: MicroBatch) -> int:
    return int((batch.labels_BU != -100).sum())


def compared(result: Mapping[str, Any]) -> list[Compared]:
    """What `raylab bench all` tells of it."""
    return [("s an episode of meta-learning; its plain steps", result["episode_s"], result["plain_s"])]


def show(result: Mapping[str, Any]) -> None:
    """Print the ratio."""
    console = Console()
    episode_ms, plain_ms = 1e3 * result["episode_s"], 1e3 * result["plain_s"]
    console.print(
        f"An episode ({result['estimator']}; inner pretraining steps: {result['inner_steps']}): {episode_ms:.0f} ms; "
        f"its batches as plain steps: {plain_ms:.0f} ms; CPU, medians of {result['turns']} turns.",
        highlight=False,
    )
    console.print(f"Goal: at most {result['goal']:g} times. {result['ratio']:.2f} times: {'met' if met(result) else 'missed'}.")


def met(result: Mapping[str, Any]) -> bool:
    """Does an episode cost no more than it should?"""
    return bool(result["ratio"] <= result["goal"])
