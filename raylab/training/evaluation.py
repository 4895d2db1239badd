"""Scores of a finetuned model on examples, one number an example for every measure of the task's family."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.errors import Diverged
from raylab.training.memory import Fit, Memory
from raylab.training.objective import Objective, objective_of
from raylab.training.parallel import Parallel

BATCH = 64


def score(
    model: nn.Module, examples: Sequence[Any], data: Prepared, parallel: Parallel, memory: Memory,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:  # fmt: skip
    """One number an example for every measure, in the order of `examples`, on every worker. `alive` is called between
    batches.

    Raises Diverged where the model's answers have no probability: its last update can have spoilt the weights.
    Raises OutOfMemory where not even one example fits.
    """
    model.eval()
    objective = objective_of(data)
    mine = examples[parallel.shard(len(examples))]
    with parallel.together():
        rows = _noted(model, mine, objective, memory.of(model, "answering", parallel.device), alive)
    gathered = parallel.gather(rows, len(examples))
    noted = {name: [row[name] for row in gathered] for name in gathered[0]} if gathered else {}
    measured = objective.measured(noted)
    if not all(np.isfinite(values).all() for values in measured.values()):
        raise Diverged("the scores of the finetuned model are no numbers: its weights are not finite")
    return {measure: list(values) for measure, values in measured.items()}


def means(scores: Mapping[str, Sequence[float]], split: str) -> dict[str, float]:
    """The mean of every measure, named by split."""
    return {f"{split}_{measure}": float(np.mean(values)) for measure, values in scores.items()}


def _noted(
    model: nn.Module, examples: Sequence[Any], objective: Objective, fit: Fit, alive: Callable[[], None]
) -> list[dict[str, float]]:
    """What is noted of each example, computed on as many of about one length as fit, and BATCH at most."""
    by_size = sorted(range(len(examples)), key=lambda i: objective.size(examples[i]))
    rows: dict[int, dict[str, float]] = {}

    @torch.inference_mode()
    def next_rows(size: int) -> dict[int, dict[str, float]]:
        chosen = by_size[len(rows) :][:size]
        columns = objective.answers(model, [examples[i] for i in chosen], fit.device)
        return {i: {name: values[k] for name, values in columns.items()} for k, i in enumerate(chosen)}

    while len(rows) < len(examples):
        rows |= fit.attempt(next_rows, wanted=BATCH, width=1)
        alive()
    return [rows[i] for i in range(len(examples))]
