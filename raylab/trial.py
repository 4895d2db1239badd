"""One run of one recipe, from base model to scores, as a stream of progress. Knows no cluster."""

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.recipe import Recipe, Stage, run_key, stage_keys
from raylab.seeds import Seeds
from raylab.storage import Storage
from raylab.training import footprint
from raylab.training.checkpoint import Checkpoints
from raylab.training.context import Context
from raylab.training.evaluation import means, score
from raylab.training.memory import Memory, told
from raylab.training.parallel import Parallel
from raylab.training.progress import Notice, Progress, Result, Rung, Staged
from raylab.training.stage_cache import Found, StageCache, load
from raylab.training.totals import Totals

PROBE_STEPS = 0.4  # of the finetuning's steps, in the short finetuning that judges a rung
PROBE_QUESTIONS = 256  # of dev, at a rung


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How a recipe is run this time: on which data and seeds, scored on which splits, judged at which rungs on the
    way, with its checkpoints in `folder` (None: none; a Storage may keep them in a bucket as well) and its final model
    saved to `keep_model` (None: dropped). `memory` knows how many rows fit. `totals` is filled as the run goes, so that
    a run that ends badly still says what it used. `alive` is called now and then where no step is yielded for long, for
    whoever watches that a run does not hang. `cache`: where models after a prefix of stages are found and left."""

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
    cache: StageCache | None = None


Event = Progress | Rung | Notice | Staged | Result


def run_recipe(recipe: Recipe, execution: Execution) -> Generator[Event, None, None]:
    """Run every stage, then finetune, then score. Yields Progress a step, a Rung a score on the way, a Staged when a
    prefix of the stages is done, a Notice for what a person should know, one Result last.

    A stopped run goes on from its newest checkpoint. Raises Diverged and OutOfMemory; closing the generator stops the
    run.
    """
    footprint.begin(execution.parallel.device)
    with told(), closing(_run(recipe, execution)) as events:
        for event in events:
            with execution.totals.timed("waiting"):
                yield event


def _run(recipe: Recipe, execution: Execution) -> Generator[Event, None, None]:
    totals = execution.totals
    checkpoints = Checkpoints(
        execution.folder, execution.checkpoint_every_s, totals.plain, execution.parallel, partial(totals.timed, "checkpoint")
    )
    with closing(checkpoints):
        yield from _run_from(checkpoints, recipe, execution)


def _run_from(checkpoints: Checkpoints, recipe: Recipe, execution: Execution) -> Iterator[Event]:
    totals = execution.totals
    totals.restore(checkpoints.restored_totals or {})
    with totals.timed("start"), execution.parallel.together():
        model: nn.Module = build(recipe.base, execution.data.tokenizer, execution.seeds.init).to(execution.parallel.device)
    context = Context(
        data=execution.data, seeds=execution.seeds, parallel=execution.parallel, checkpoints=checkpoints,
        memory=execution.memory, precision=recipe.base.precision,
    )  # fmt: skip
    prefixes = _Prefixes(recipe, execution)
    named = [(f"{i}-{stage.name()}", stage) for i, stage in enumerate((*recipe.stages, recipe.finetune))]
    first = prefixes.first(_done(named, checkpoints.stage))
    rungs = _Rungs(recipe, context, execution)
    for i, (name, stage) in enumerate(named):
        with totals.timed("start"), execution.parallel.together():
            model = stage.equip(model, context).to(execution.parallel.device)
        for progress in stage.run(model, replace(context, stage=name)) if i >= first else ():
            totals.add(progress)
            yield replace(progress, position=totals.steps)
            yield from (Notice(text=text) for text in checkpoints.notices())
            yield from rungs.passed(i, progress, model)
        yield from prefixes.ended(i, model, trained=i >= first)
    yield _finish(model, execution)


def _done(named: Sequence[tuple[str, Stage]], checkpointed: str | None) -> int:
    """How many stages lie before the one of the checkpoint."""
    names = [name for name, _ in named]
    return names.index(checkpointed) if checkpointed in names else 0


class _Prefixes:
    """The prefixes of a run's stages in the cache, if there is one: what is found there, and what is left there."""

    def __init__(self, recipe: Recipe, execution: Execution) -> None:
        self.cache, self.parallel, self.totals = execution.cache, execution.parallel, execution.totals
        self.keys = stage_keys(recipe, execution.seeds, execution.data.fingerprint)
        self.run = run_key(recipe, execution.seeds, execution.data.fingerprint)
        self.found: Found | None = None
        base, names = recipe.base, [stage.name() for stage in recipe.stages]
        on = f"{base.pretrained or f'{base.family}, {base.scale}'}, {execution.data.task}"
        self.words = [f"{' + '.join(names[: n + 1])} ({on})" for n in range(len(names))]

    def first(self, done: int) -> int:
        """The first stage to be trained: after those that lie before a checkpoint (`done`), or in the cache."""
        found = self.cache.find(self.keys, self.parallel) if self.cache else None
        if found is not None and found.stages > done:
            self.found = found
        return self.found.stages if self.found else done

    def ended(self, number: int, model: nn.Module, trained: bool) -> Iterator[Event]:
        """Stage `number` is done, or was before. What of it is kept is told: whoever waits for it need not any longer."""
        if number >= len(self.keys):
            return
        if self.found and self.found.stages == number + 1:
            with self.totals.timed("checkpoint"):
                load(self.found, model)
            if self.found.by == self.run:  # an earlier attempt of this run, which was lost: what it used is this run's own
                self.totals.restore(self.found.totals)
            else:
                self.totals.reuse(self.found.cost)
        if self.cache:
            if trained and self.parallel.rank == 0:
                cost, totals = self.totals.cost(), self.totals.plain()
                with self.totals.timed("checkpoint"):
                    self.cache.keep(self.keys[number], model, self.words[number], cost=cost, by=self.run, totals=totals)
            yield from (Notice(text=text) for text in self.cache.notices())
        yield Staged(key=self.keys[number])


class _Rungs:
    """The fractions of a recipe's pretraining at which it is judged."""

    def __init__(self, recipe: Recipe, context: Context, execution: Execution) -> None:
        self.finetune, self.context, self.execution = recipe.finetune, context, execution
        steps = [len(stage.reads(context)) for stage in recipe.stages] if execution.rungs else []
        self.before = [sum(steps[:n]) for n in range(len(steps))]
        self.at = {max(1, round(rung * sum(steps))): rung for rung in reversed(execution.rungs) if rung < 1}

    def passed(self, stage: int, progress: Progress, model: nn.Module) -> Iterator[Event]:
        """The rung that this step reaches, if any, with its score; a rung at the end is the run's own result."""
        if stage < len(self.before) and (fraction := self.at.get(self.before[stage] + progress.step)):
            with self.execution.totals.timed("rungs"):
                metrics = _probe(model, self.finetune, self.context, self.execution.alive)
            yield Rung(fraction=fraction, metrics=metrics)


def _probe(model: nn.Module, finetune: Stage, context: Context, alive: Callable[[], None]) -> dict[str, float]:
    """The dev score of a copy after a short finetuning; the run itself is left as it was."""
    twin = finetune.equip(copy.deepcopy(model), context).to(context.parallel.device)
    short = replace(finetune, steps=max(1, round(PROBE_STEPS * finetune.steps)))  # type: ignore[type-var, attr-defined]
    for _ in short.run(twin, replace(context, checkpoints=Checkpoints(), stage="probe")):
        alive()
    questions = context.data.splits["dev"][:PROBE_QUESTIONS]
    return means(score(twin, questions, context.data, context.parallel, context.memory, alive), "dev")


def _finish(model: nn.Module, execution: Execution) -> Result:
    scores, metrics = {}, {}
    with execution.totals.timed("evaluation"):
        for split in execution.splits:
            questions = execution.data.splits[split]
            scores[split] = score(model, questions, execution.data, execution.parallel, execution.memory, execution.alive)
            metrics.update(means(scores[split], split))
    if execution.keep_model is not None and execution.parallel.rank == 0:
        model.save_pretrained(execution.keep_model)  # type: ignore[operator]
        execution.data.tokenizer.save_pretrained(execution.keep_model)
    metrics |= {**execution.totals.used(), "parameters": sum(p.numel() for p in model.parameters())}
    return Result(metrics=metrics, scores=scores, seconds=execution.totals.times(), memory=footprint.peaks(execution.parallel))


def device_of(gpus_per_worker: float) -> torch.device:
    """CUDA where a GPU was asked for and is there, else the CPU."""
    return torch.device("cuda") if gpus_per_worker and torch.cuda.is_available() else torch.device("cpu")
