"""One run of one recipe, from base model to scores, as a stream of progress. Knows no cluster."""

import copy
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.recipe import Recipe, Stage, run_key, stage_keys
from raylab.seeds import Seeds
from raylab.storage import Storage
from raylab.training.checkpoint import Checkpoints
from raylab.training.context import Context
from raylab.training.evaluation import means, score
from raylab.training.memory import Memory, told
from raylab.training.parallel import Parallel
from raylab.training.progress import Notice, Progress, Result, Rung, Staged
from raylab.training.stage_cache import Found, StageCache, load

PROBE_STEPS = 0.4  # of the finetuning's steps, in the short finetuning that judges a rung
PROBE_QUESTIONS = 256  # of dev, at a rung


@dataclass(kw_only=True, slots=True)
class Totals:
    """What a run has used so far, over all workers; what was reused of other runs' stages is counted apart. measured: what
    its stages found out about the model."""

    steps: int = 0
    tokens: int = 0
    target_tokens: int = 0
    flops: float = 0.0
    reused_tokens: int = 0
    reused_flops: float = 0.0
    reused_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)

    def add(self, progress: Progress) -> None:
        self.steps += 1
        self.tokens += progress.corpus_tokens
        self.target_tokens += progress.target_tokens
        self.flops += progress.flops
        self.measured |= progress.measured
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

    def reuse(self, cost: Mapping[str, float]) -> None:
        """Count what a prefix from the cache has cost when it was trained."""
        self.reused_tokens += int(cost["tokens"])
        self.reused_flops += cost["flops"]
        self.reused_seconds += cost["seconds"]

    def cost(self) -> dict[str, float]:
        """What the model has cost so far, whoever trained it."""
        trained = sum(seconds for part, seconds in self.seconds.items() if part not in ("start", "rungs"))
        return {
            "tokens": self.tokens + self.reused_tokens,
            "flops": self.flops + self.reused_flops,
            "seconds": trained + self.reused_seconds,
        }

    def used(self) -> dict[str, float]:
        """Everything but the seconds, as metrics of the run."""
        counts = {name: value for name, value in self.plain().items() if name not in ("seconds", "measured")}
        return {**counts, **self.measured}

    def times(self) -> dict[str, float]:
        """Seconds by part, and their `total`."""
        return {**self.seconds, "total": sum(self.seconds.values())}


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
        with execution.parallel.together():
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
            load(self.found, model)
            if self.found.by == self.run:  # an earlier attempt of this run, which was lost: what it used is this run's own
                self.totals.restore(self.found.totals)
            else:
                self.totals.reuse(self.found.cost)
        if self.cache:
            if trained and self.parallel.rank == 0:
                self.cache.keep(
                    self.keys[number], model, self.words[number], cost=self.totals.cost(), by=self.run, totals=self.totals.plain()
                )
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
            with _timed(self.execution.totals, "rungs"):
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
    with _timed(execution.totals, "evaluation"):
        for split in execution.splits:
            questions = execution.data.splits[split]
            scores[split] = score(model, questions, execution.data, execution.parallel, execution.memory, execution.alive)
            metrics.update(means(scores[split], split))
    if execution.keep_model is not None and execution.parallel.rank == 0:
        model.save_pretrained(execution.keep_model)  # type: ignore[operator]
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
