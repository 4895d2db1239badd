"""Pre-finetuning on a mixture of supervised tasks, between pretraining and finetuning (MUPPET: Aghajanyan et al. 2021)."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from raylab.data.prepared import Prepared
from raylab.errors import UserError, unknown
from raylab.mixture.draw import Batching, Draw, Part
from raylab.mixture.learned import Alignment, Learned, begin, factors
from raylab.mixture.robust import Noise, robust_loss
from raylab.mixture.weights import given, tempered
from raylab.models.flops import CostModel
from raylab.models.headed import Headed
from raylab.recipe import LATER, NOT_IN_KEY, Stage, knob
from raylab.seeds import derive
from raylab.training.batching import MicroBatch, StepBatch, step_batch
from raylab.training.context import Context
from raylab.training.loop import Training, train
from raylab.training.objective import Objective, objective_of
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class PreFinetune(Stage):
    """Train on several tasks at once, each with its own head (one for all of multiple choice, one for all of span reading).

    An update is made of `batch_size / part_rows` parts of one task each; it follows the mean over parts of the part's mean loss,
    scaled by 1 / log n, where n is what its family chooses among: so a uniform guess costs 1 on every task (`loss_scaling`).

    tasks: by the names under which they were prepared with the target. weights: of each of them; none for proportions by size,
    levelled by `temperature`. batching: see raylab.mixture.draw. robustness: the weight of R3F's term (its authors' default is
    1), 0 for none; noise_size and noise are its noise. bounded_heads: heads whose weights have the spectral norm 1, which with
    that noise is R4F. learned: weights that are learned on the way, from `weights` or proportions on; the head of the target is
    trained beside, on features that it does not change, and its loss is one part more. With dropout 0 and without noise, losses
    do not depend on workers.
    """

    tasks: tuple[str, ...]
    weights: tuple[float, ...] = ()
    temperature: float = knob(1.0, low=1.0, high=8.0, log=True)
    batching: Batching = "heterogeneous"
    loss_scaling: bool = knob(True, choices=(True, False))
    robustness: float = knob(0.0, choices=(0.0, 0.1, 1.0))
    noise_size: float = 1e-5
    noise: Noise = "uniform"
    steps: int = 300
    batch_size: int = 32
    part_rows: int = 8
    micro_batch: int = field(default=0, metadata=NOT_IN_KEY)
    optimization: Optimization = field(default_factory=lambda: Optimization(learning_rate=2e-3, warmup=0.1, decay=0.4))
    bounded_heads: bool = field(default=False, metadata=LATER)
    learned: Learned | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UserError("a mixture has no task; expected at least one.")
        for name in self.tasks:
            if self.tasks.count(name) > 1:
                raise UserError(f"{name!r} stands twice in the mixture; expected every task once, with the sum of its weights.")
        if self.weights and len(self.weights) != len(self.tasks):
            raise UserError(
                f"the mixture has {len(self.tasks)} tasks and {len(self.weights)} weights; expected one a task, or none."
            )
        if self.weights:
            given(dict(zip(self.tasks, self.weights, strict=True)), self.tasks)
        if not 0 < self.part_rows <= self.batch_size or self.steps <= 0:
            raise UserError(
                f"pre-finetuning for {self.steps} steps of {self.batch_size} examples, {self.part_rows} of a task together; "
                "expected positive numbers, and no more of a task than in a batch."
            )

    def objectives(self, data: Prepared) -> list[Objective]:
        """Of its tasks, in their order. Raises UserError for one that was not prepared."""
        known = {**data.sources, data.task: data}
        for name in self.tasks:
            if name not in known:
                raise unknown("task of the mixture", name, known, "The tasks that are mixed are named by --sources.")
        return [objective_of(known[name]) for name in self.tasks]

    def equip(self, model: nn.Module, context: Context) -> nn.Module:
        """The model with a head for every task that has one, drawn with the run's initial seed."""
        objectives = self.objectives(context.data)
        target = [objective_of(context.data)] if self.learned else []
        for objective in (*objectives, *target):
            model = objective.equip(model, "full", derive(context.seeds.init, "head", objective.head))
            if self.bounded_heads and isinstance(model, Headed) and objective.head in model.heads:
                model.head(objective.head).bounded = True
        return begin(model, len(objectives)) if self.learned else model

    def run(self, model: nn.Module, context: Context) -> Iterator[Progress]:
        """Train `model` in place. Yields a Progress a step; raises Diverged, OutOfMemory. Its loss is in units of a uniform
        guess's where losses are scaled, else in nats."""
        batches = _Batches(self, model, context)
        training = Training(
            stage=context.stage, steps=self.steps, batches=batches, optimization=self.optimization,
            loss=partial(self._loss, batches.objectives), seed=context.seeds.data, precision=context.precision,
        )  # fmt: skip
        steps = train(model, training, context.parallel, context.checkpoints, context.memory)
        yield from self._learning(self.learned, steps, model, batches, context) if self.learned else steps

    def _learning(
        self, how: Learned, steps: Iterator[Progress], model: nn.Module, batches: "_Batches", context: Context
    ) -> Iterator[Progress]:
        """The steps, with the weights moved between them, before a checkpoint is written. The last step tells them."""
        *objectives, target = batches.objectives
        alignment = Alignment(objectives, target, how, batches.cost, context.seeds.data)
        for progress in steps:
            if progress.step % how.every == 0 and progress.step < self.steps:
                before, begun = alignment.flops, time.perf_counter()
                alignment.update(model, progress.step // how.every, context.parallel.device)
                spent = progress.seconds["forward_backward"] + time.perf_counter() - begun
                progress = replace(
                    progress, flops=progress.flops + alignment.flops - before,
                    seconds={**progress.seconds, "forward_backward": spent},
                )  # fmt: skip
            if progress.step == self.steps:
                weights = batches.draw.weights * factors(model, batches.draw.weights).cpu().numpy()
                told = {f"weight_{task}": float(weight) for task, weight in zip(self.tasks, weights, strict=True)}
                progress = replace(progress, measured=told)
            yield progress

    def _loss(self, objectives: Sequence[Objective], model: nn.Module, micro: Any) -> Tensor:
        objective = objectives[micro.task]
        if micro.task == len(self.tasks):  # the target, whose head alone is trained
            assert isinstance(model, Headed)
            with model.as_it_is():
                return objective.loss(model, micro) * micro.weight
        loss = objective.loss(model, micro)
        if self.robustness:
            loss = loss + self.robustness * robust_loss(objective, model, micro, size=self.noise_size, noise=self.noise)
        return loss * micro.weight

    def reads(self, context: Context) -> Sequence[int]:
        """Nothing of the corpus."""
        return [0] * self.steps

    def batches(self, model: nn.Module, context: Context) -> Callable[[int], StepBatch]:
        """The global batch of a step."""
        return _Batches(self, model, context)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Micro(MicroBatch):
    """Rows of one task. task: its place in the mixture. weight: of their loss."""

    task: int
    weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mixed(StepBatch):
    """A step's parts, as one. tasks: of each part. weights: of each part's summed loss, beside all the step's targets."""

    parts: tuple[StepBatch, ...]
    tasks: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def width(self) -> int:
        return max(part.width for part in self.parts)

    def micro_batches(self, rows: int = 0) -> Iterator[MicroBatch]:
        for part, task, weight in zip(self.parts, self.tasks, self.weights, strict=True):
            for micro in part.micro_batches(min(rows, part.micro_batch) if rows else 0):
                yield _Micro(**{f.name: getattr(micro, f.name) for f in fields(micro)}, task=task, weight=weight)


class _Batches:
    """The global batch of a step, as a function of the step alone, and of where the weights stand if they are learned. The target
    is the last of the objectives then."""

    def __init__(self, stage: PreFinetune, model: nn.Module, context: Context) -> None:
        self.stage, self.parallel, self.model = stage, context.parallel, model
        self.objectives = stage.objectives(context.data)
        lengths = [objective.lengths() for objective in self.objectives]
        weights = (
            given(dict(zip(stage.tasks, stage.weights, strict=True)), stage.tasks)
            if stage.weights
            else tempered(list(map(len, lengths)), stage.temperature)
        )
        self.draw = Draw(
            weights, lengths, parts=math.ceil(stage.batch_size / stage.part_rows), part_rows=stage.part_rows, steps=stage.steps,
            batching=stage.batching, seed=context.seeds.data,
        )  # fmt: skip
        self.target: Order | None = None
        if stage.learned:
            self.objectives.append(target := objective_of(context.data))
            if isinstance(model, Headed) and target.head in model.heads:
                self.target = Order(target.lengths(), stage.part_rows, derive(context.seeds.data, "target"))
        self.cost = CostModel.of(model)

    def __call__(self, step: int) -> StepBatch:
        drawn = self.draw(step)
        count = len(drawn)
        if self.target:
            drawn.append(Part(task=len(self.stage.tasks), rows=self.target.rows(step)))
        batches = [self.objectives[part.task].batch(part.rows.tolist()) for part in drawn]
        parts = [step_batch(batch, self.parallel, self.cost, 0, self.stage.micro_batch) for batch in batches]
        targets = sum(part.target_tokens for part in parts)
        weights = [self._scale(one.task) * targets / (count * part.target_tokens) for one, part in zip(drawn, parts, strict=True)]
        return _Mixed(
            own=parts[0].own, device=parts[0].device, micro_batch=max(part.micro_batch for part in parts), corpus_tokens=0,
            input_tokens=sum(part.input_tokens for part in parts), target_tokens=targets, flops=sum(part.flops for part in parts),
            positions=sum(part.positions for part in parts), padding=sum(part.padding for part in parts),
            parts=tuple(parts), tasks=tuple(part.task for part in drawn), weights=tuple(weights),
        )  # fmt: skip

    def _scale(self, task: int) -> float:
        """What the loss of a task is multiplied by."""
        scale = 1 / self.objectives[task].uniform_loss() if self.stage.loss_scaling else 1.0
        learned = self.stage.learned and task < len(self.stage.tasks)
        return scale * float(factors(self.model, self.draw.weights)[task]) if learned else scale
