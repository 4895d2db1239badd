"""Finetuning on the task's questions: closed-book, the question in, the canonical answer out."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel

from raylab.errors import UserError
from raylab.models.flops import CostModel
from raylab.recipe import NOT_IN_KEY, Stage
from raylab.training.batching import pairs, step_batch
from raylab.training.context import Context
from raylab.training.loop import StepBatch, Training, train
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetune(Stage):
    """Train on the train split's questions for `steps` steps of `batch_size`."""

    steps: int = 150
    batch_size: int = 32
    micro_batch: int = field(default=0, metadata=NOT_IN_KEY)
    optimization: Optimization = field(default_factory=lambda: Optimization(learning_rate=2e-3, warmup=0.1, decay=0.9))

    def __post_init__(self) -> None:
        if self.steps <= 0 or self.batch_size <= 0:
            raise UserError(f"finetuning for {self.steps} steps of {self.batch_size} questions; expected positive numbers.")

    def run(self, model: PreTrainedModel, context: Context) -> Iterator[Progress]:
        """Train `model` in place. Yields a Progress a step; raises Diverged, OutOfMemory."""
        training = Training(
            stage=context.stage, steps=self.steps, batches=self.batches(model, context), optimization=self.optimization,
            seed=context.seeds.finetune, precision=context.precision, uniform_loss=math.log(len(context.data.tokenizer)),
        )  # fmt: skip
        yield from train(model, training, context.parallel, context.checkpoints, context.memory)

    def reads(self, context: Context) -> Sequence[int]:
        """Nothing of the corpus."""
        return [0] * self.steps

    def batches(self, model: PreTrainedModel, context: Context) -> Callable[[int], StepBatch]:
        """The global batch of a step."""
        return _Batches(self, model, context)


class _Batches:
    """The global batch of a step, as a function of the step alone."""

    def __init__(self, stage: Finetune, model: PreTrainedModel, context: Context) -> None:
        self.context, self.micro_batch = context, stage.micro_batch
        self.questions, self.answers = context.data.train_ids
        self.order = Order([len(q) for q in self.questions], stage.batch_size, context.seeds.finetune)
        self.cost = CostModel.of(model)

    def __call__(self, step: int) -> StepBatch:
        rows = self.order.rows(step)
        symbols = self.context.data.symbols
        batch = pairs(
            [self.questions[i] for i in rows], [self.answers[i] for i in rows], symbols.eos, symbols.pad,
            self.context.data.max_tokens + 1,
        )  # fmt: skip
        return step_batch(batch, self.context.parallel, self.cost, 0, self.micro_batch)
