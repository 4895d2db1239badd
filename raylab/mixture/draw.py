"""Which rows of which tasks an update is made of.

Three ways (Aghajanyan et al. 2021, section 3.3): in `heterogeneous` batches every part of a few rows is of a task of its own,
drawn anew; in `batch_homogeneous` ones all parts are of one task, drawn anew for each update; in `homogeneous` ones the tasks
come one after the other, each with its share of the updates. All follow from the seed and the step alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from raylab.seeds import derive
from raylab.training.order import Order

Batching = Literal["heterogeneous", "batch_homogeneous", "homogeneous"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Rows of one task's train split. task: its place among the tasks."""

    task: int
    rows: np.ndarray


class Draw:
    """The parts of every update: `parts` of `part_rows` rows each, over `steps` updates.

    weights: of the tasks, summing to 1. lengths: of every task's rows, in tokens: parts are of rows of about one length. A task's
    rows come in a random order, each as often as any other, before one comes again.
    """

    def __init__(
        self, weights: np.ndarray, lengths: Sequence[Sequence[int] | np.ndarray], *, parts: int, part_rows: int, steps: int,
        batching: Batching, seed: int,
    ) -> None:  # fmt: skip
        self.weights, self.parts, self.steps, self.batching, self.seed = weights, parts, steps, batching, seed
        self.orders = [
            Order(own, part_rows, derive(seed, "task", place)) if weights[place] > 0 else None
            for place, own in enumerate(lengths)
        ]

    @cached_property
    def tasks(self) -> np.ndarray:
        """The task of every part (steps, parts)."""
        rng = np.random.default_rng(derive(self.seed, "tasks"))
        count = len(self.weights)
        if self.batching == "heterogeneous":
            return rng.choice(count, size=(self.steps, self.parts), p=self.weights)
        if self.batching == "batch_homogeneous":
            return np.repeat(rng.choice(count, size=(self.steps, 1), p=self.weights), self.parts, axis=1)
        order = rng.permutation(count)
        ends = np.rint(np.cumsum(self.weights[order]) * self.steps).astype(int)
        return np.repeat(np.repeat(order, np.diff(ends, prepend=0))[:, None], self.parts, axis=1)

    @cached_property
    def _turns(self) -> np.ndarray:
        """How many parts of its task come before each part (steps, parts)."""
        flat = self.tasks.ravel()
        turns = np.zeros(len(flat), dtype=np.int64)
        for task in np.unique(flat):
            mine = flat == task
            turns[mine] = np.arange(mine.sum())
        return turns.reshape(self.tasks.shape)

    def __call__(self, step: int) -> list[Part]:
        """The parts of update `step` (from 0)."""
        drawn = []
        for task, turn in zip(self.tasks[step].tolist(), self._turns[step].tolist(), strict=True):
            order = self.orders[task]
            assert order is not None  # a task of weight 0 is never drawn
            drawn.append(Part(task=task, rows=order.rows(turn)))
        return drawn
