"""Finetuning on the task itself: its labelled examples in, as its family has them, and its own head, if it has one."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from raylab.errors import UserError
from raylab.models.dropout import set_dropout
from raylab.models.flops import CostModel
from raylab.models.headed import Headed
from raylab.recipe import LATER, NOT_IN_KEY, Stage
from raylab.seeds import derive
from raylab.training.batching import step_batch
from raylab.training.context import Context
from raylab.training.loop import StepBatch, Training, train
from raylab.training.objective import Mode, Objective, objective_of
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetune(Stage):
    """Train on the train split for `steps` steps of `batch_size` examples.

    mode: "full" trains all weights; "frozen" trains a head on the body's features alone, a learned mix of its layers (Peters
    et al. 2019). label_share: the share of the train split that is used, the same examples for every recipe of a replicate, a
    smaller share part of a larger one. reuse_head: go on with the head of an earlier stage, where there is one of its name.
    dropout: in finetuning, whatever it was before; None: as the base model has it.
    """

    steps: int = 150
    batch_size: int = 32
    micro_batch: int = field(default=0, metadata=NOT_IN_KEY)
    optimization: Optimization = field(default_factory=lambda: Optimization(learning_rate=2e-3, warmup=0.1, decay=0.9))
    mode: Mode = field(default="full", metadata=LATER)
    label_share: float = field(default=1.0, metadata=LATER)
    reuse_head: bool = field(default=False, metadata=LATER)
    dropout: float | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        if self.steps <= 0 or self.batch_size <= 0:
            raise UserError(f"finetuning for {self.steps} steps of {self.batch_size} examples; expected positive numbers.")
        if not 0 < self.label_share <= 1:
            raise UserError(f"label_share is {self.label_share}; expected a fraction above 0 and at most 1.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise UserError(f"dropout is {self.dropout}; expected a fraction from 0 up to, but not including, 1.")

    def equip(self, model: nn.Module, context: Context) -> nn.Module:
        """The model with the task's head, drawn with the run's finetuning seed, and the dropout of finetuning."""
        objective = objective_of(context.data)
        if not self.reuse_head and isinstance(model, Headed) and objective.head in model.heads:
            del model.heads[objective.head]
        equipped = objective.equip(model, self.mode, derive(context.seeds.finetune, "head"))
        if self.dropout is not None:
            set_dropout(equipped, self.dropout)
        return equipped

    def run(self, model: nn.Module, context: Context) -> Iterator[Progress]:
        """Train `model` in place. Yields a Progress a step; raises Diverged, OutOfMemory."""
        objective = objective_of(context.data)
        training = Training(
            stage=context.stage, steps=self.steps, batches=self.batches(model, context), optimization=self.optimization,
            loss=objective.loss, seed=context.seeds.finetune, precision=context.precision,
            uniform_loss=objective.uniform_loss() if objective.writes else math.inf,  # a head's first steps may be far off
        )  # fmt: skip
        yield from train(model, training, context.parallel, context.checkpoints, context.memory)

    def reads(self, context: Context) -> Sequence[int]:
        """Nothing of the corpus."""
        return [0] * self.steps

    def batches(self, model: nn.Module, context: Context) -> Callable[[int], StepBatch]:
        """The global batch of a step."""
        return _Batches(self, model, context)


class _Batches:
    """The global batch of a step, as a function of the step alone."""

    def __init__(self, stage: Finetune, model: nn.Module, context: Context) -> None:
        self.context, self.micro_batch = context, stage.micro_batch
        self.objective: Objective = objective_of(context.data)
        lengths = self.objective.lengths()
        self.rows = _labelled(len(lengths), stage.label_share, context.seeds.finetune)
        self.order = Order([lengths[row] for row in self.rows], stage.batch_size, context.seeds.finetune)
        self.cost = CostModel.of(model)

    def __call__(self, step: int) -> StepBatch:
        batch = self.objective.batch(self.rows[self.order.rows(step)].tolist())
        return step_batch(batch, self.context.parallel, self.cost, 0, self.micro_batch)


def _labelled(examples: int, share: float, seed: int) -> np.ndarray:
    """The rows of the train split that are used, sorted."""
    shuffled = np.random.default_rng(derive(seed, "labels")).permutation(examples)
    return np.sort(shuffled[: max(1, round(share * examples))])
