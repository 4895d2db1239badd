"""One run of one recipe, from base model to scores, as a stream of progress. Knows no cluster."""

import copy
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.recipe import Recipe, Stage
from raylab.seeds import Seeds
from raylab.storage import Storage
from raylab.training.checkpoint import Checkpoints
from raylab.training.context import Context
from raylab.training.evaluation import means, score
from raylab.training.memory import Memory, told
from raylab.training.parallel import Parallel
from raylab.training.progress import Notice, Progress, Result, Rung

PROBE_STEPS = 0.4  # of the finetuning's steps, in the short finetuning that judges a rung
PROBE_QUESTIONS = 256  # of dev, at a rung


@dataclass(kw_only=True, slots=True)
class Totals:
    """What a run has used so far, over all workers."""

    steps: int = 0
    tokens: int = 0
    target_tokens: int = 0
    flops: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, progress: Progress) -> None:
        self.steps += 1
        self.tokens += progress.corpus_tokens
        self.target_tokens += progress.target_tokens
        self.flops += progress.flops
        for part, seconds in progress.seconds.items():
            self.spend(part, seconds)

    def spend(self, part: str, seconds: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    def restore(self, plain: dict[str, Any]) -> None:
        """Take up the counts of a checkpoint."""
        for name, value in plain.items():
            setattr(self, name, value)

    def used(self) -> dict[str, float]:
        """Everything but the seconds, as metrics of the run."""
        return {name: value for name, value in self.plain().items() if name != "seconds"}

    def times(self) -> dict[str, float]:
        """Seconds by part, and their `total`."""
        return {**self.seconds, "total": sum(self.seconds.values())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How a recipe is run this time: on which data and seeds, scored on which splits, judged at which rungs on the
    way, with its checkpoints in `folder` (None: none; a Storage may keep them in a bucket as well) and its final model
    saved to `keep_model` (None: dropped). `memory` knows how many rows fit. `totals` is filled as the run goes, so that
    a run that ends badly still says what it used. `alive` is called now and then where no step is yielded for long, for
    whoever watches that a run does not hang."""

    data: Prepared
    seeds: Seeds
    parallel: Parallel = field(default_factory=Parallel)
    splits: Sequence[str] = ("dev",)
    rungs: Sequence[float] = ()
    folder: Storage | Path | None = None
    keep_model: Path | None = None
    checkpoint_every_s: float = 30.0
    memory: Memory = field(default_factory=Memory)
    totals: Totals = field(default_factory=Totals)
    alive: Callable[[], None] = lambda: None


Event = Progress | Rung | Notice | Result


def run_recipe(recipe: Recipe, execution: Execution) -> Generator[Event, None, None]:
    """Run every stage, then finetune, then score. Yields Progress a step, a Rung a score on the way, a Notice for what
    a person should know, one Result last.

    A stopped run goes on from its newest checkpoint. Raises Diverged and OutOfMemory; closing the generator stops the
    run.
    """
    with told():
        yield from _run(recipe, execution)


def _run(recipe: Recipe, execution: Execution) -> Iterator[Event]:
    totals = execution.totals
    checkpoints = Checkpoints(execution.folder, execution.checkpoint_every_s, totals.plain, execution.parallel)
    with closing(checkpoints):
        yield from _run_from(checkpoints, recipe, execution)


def _run_from(checkpoints: Checkpoints, recipe: Recipe, execution: Execution) -> Iterator[Event]:
    totals = execution.totals
    totals.restore(checkpoints.restored_totals or {})
    with _timed(totals, "start"), execution.parallel.together():
        model = build(recipe.base, execution.data.tokenizer, execution.seeds.init).to(execution.parallel.device)
    context = Context(
        data=execution.data, seeds=execution.seeds, parallel=execution.parallel, checkpoints=checkpoints,
        memory=execution.memory, precision=recipe.base.precision,
    )  # fmt: skip
    for name, stage in _remaining(recipe, checkpoints.stage):
        for progress in stage.run(model, replace(context, stage=name)):
            totals.add(progress)
            yield replace(progress, position=totals.steps)
            yield from (Notice(text=text) for text in checkpoints.notices())
            if stage is not recipe.finetune and (fraction := _rung_passed(progress, execution.rungs)):
                with _timed(totals, "rungs"):
                    metrics = _probe(model, recipe.finetune, context, execution.alive)
                yield Rung(fraction=fraction, metrics=metrics)
    yield _finish(model, execution)


def _remaining(recipe: Recipe, checkpointed: str | None) -> list[tuple[str, Stage]]:
    """The stages from the checkpointed one on, each with the name checkpoints know it by."""
    named = [(f"{i}-{stage.name()}", stage) for i, stage in enumerate((*recipe.stages, recipe.finetune))]
    names = [name for name, _ in named]
    return named[names.index(checkpointed) :] if checkpointed in names else named


def _rung_passed(progress: Progress, rungs: Sequence[float]) -> float | None:
    """The rung that this step reaches, if any; a rung at the end is the run's own result."""
    reached = [r for r in rungs if r < 1 and progress.step == max(1, round(r * progress.steps))]
    return reached[0] if reached else None


def _probe(model: PreTrainedModel, finetune: Stage, context: Context, alive: Callable[[], None]) -> dict[str, float]:
    """The dev score of a copy after a short finetuning; the run itself is left as it was."""
    twin = copy.deepcopy(model)
    short = replace(finetune, steps=max(1, round(PROBE_STEPS * finetune.steps)))  # type: ignore[type-var, attr-defined]
    for _ in short.run(twin, replace(context, checkpoints=Checkpoints(), stage="probe")):
        alive()
    questions = context.data.splits["dev"][:PROBE_QUESTIONS]
    return means(score(twin, questions, context.data, context.parallel, context.memory, alive), "dev")


def _finish(model: PreTrainedModel, execution: Execution) -> Result:
    scores, metrics = {}, {}
    with _timed(execution.totals, "evaluation"):
        for split in execution.splits:
            questions = execution.data.splits[split]
            scores[split] = score(model, questions, execution.data, execution.parallel, execution.memory, execution.alive)
            metrics.update(means(scores[split], split))
    if execution.keep_model is not None and execution.parallel.rank == 0:
        model.save_pretrained(execution.keep_model)
        execution.data.tokenizer.save_pretrained(execution.keep_model)
    metrics |= {**execution.totals.used(), "parameters": sum(p.numel() for p in model.parameters())}
    return Result(metrics=metrics, scores=scores, seconds=execution.totals.times())


@contextmanager
def _timed(totals: Totals, part: str) -> Iterator[None]:
    """Count the seconds of a block under a part's name."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        totals.spend(part, time.perf_counter() - begun)


def device_of(gpus_per_worker: float) -> torch.device:
    """CUDA where a GPU was asked for and is there, else the CPU."""
    return torch.device("cuda") if gpus_per_worker and torch.cuda.is_available() else torch.device("cpu")
