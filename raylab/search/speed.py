"""How fast this machine is at a study's runs: a few steps measured, nothing kept.

A step's time follows its operations closely for one kind of stage, base model and device. So of each kind the cheapest and the
dearest step of a space are timed, and what lies between them is interpolated; scoring is timed on a batch of examples.
"""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.recipe import ModelSpec, Recipe, Stage, decode, encode
from raylab.registry import add_plugins
from raylab.search.apart import ProcessLost, apart
from raylab.seeds import Seeds
from raylab.training.context import Context
from raylab.training.evaluation import BATCH, score
from raylab.training.memory import Memory
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress
from raylab.training.threads import one_thread
from raylab.trial import Execution, device_of, run_recipe

MEASURED_STEPS = 6
WARM_STEPS = 2
WITHIN_S = 300.0  # a survey in a process of its own: reading a large model can take minutes
SAMPLED_STEPS = 3  # of a stage, whose operations are counted
SEEDS = Seeds.of(0, 0)


Line = tuple[tuple[float, float], ...]  # operations of a step and its seconds: the cheapest and the dearest that were timed


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a base model is. steps: of each kind of stage (`kind_of`). answer_s: to score an example. start_s: to build it."""

    steps: Mapping[str, Line]
    answer_s: float
    start_s: float

    def step_s(self, kind: str, flops: float) -> float:
        """Seconds of a step of so many operations, on the line through what was timed."""
        if not (line := self.steps.get(kind, ())):
            return 0.0
        (least, quick), (most, slow) = line[0], line[-1]
        share = (flops - least) / (most - least) if most > least else 0.0
        return max(0.0, quick + share * (slow - quick)) if slow > quick else max(quick, slow)


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """How fast each base model is. trouble: why nothing could be timed."""

    paces: Mapping[ModelSpec, Pace]
    trouble: str = ""

    def of(self, base: ModelSpec) -> Pace:
        """That of a base model; no time at all where it was not measured."""
        return self.paces.get(base, _NO_TIME)


_NO_TIME = Pace(steps={}, answer_s=0.0, start_s=0.0)
UNKNOWN = Speed(paces={})


def kind_of(stage: Stage) -> str:
    """Stages of one kind take about as long for as many operations."""
    return " ".join([stage.name(), *([mode] if (mode := getattr(stage, "mode", "full")) != "full" else [])])


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A stage of a run: its kind, its steps and the operations of one."""

    kind: str
    steps: int
    flops: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a run does, before it runs: its pretraining, stage by stage, and its finetuning. Operations are estimated from a few
    of its batches."""

    base: ModelSpec
    stages: tuple[Part, ...]
    finetune: Part

    @property
    def flops(self) -> float:
        """Of all steps."""
        return self.pretraining_flops + self.finetuning_flops

    @property
    def pretraining_flops(self) -> float:
        """Of all stages before the finetuning."""
        return sum(part.steps * part.flops for part in self.stages)

    @property
    def finetuning_flops(self) -> float:
        """Of the finetuning."""
        return self.finetune.steps * self.finetune.flops

    def pretraining_s(self, speed: Speed) -> float:
        """Seconds of all stages before the finetuning."""
        return sum(part.steps * speed.of(self.base).step_s(part.kind, part.flops) for part in self.stages)

    def finetuning_s(self, speed: Speed) -> float:
        """Seconds of the finetuning."""
        return self.finetune.steps * speed.of(self.base).step_s(self.finetune.kind, self.finetune.flops)

    def seconds(self, speed: Speed, examples: int) -> float:
        """From the model's start to the scores of so many examples."""
        pace = speed.of(self.base)
        return pace.start_s + self.pretraining_s(speed) + self.finetuning_s(speed) + examples * pace.answer_s


NO_WORK = Work(base=ModelSpec(), stages=(), finetune=Part(kind="", steps=0, flops=0.0))


class Counter:
    """Counts the work of recipes on some data. known: what was counted."""

    def __init__(self, data: Prepared) -> None:
        self.context = Context(data=data, seeds=SEEDS)
        self.known: dict[Recipe, Work] = {}
        self._models: dict[ModelSpec, PreTrainedModel] = {}

    def work(self, recipe: Recipe) -> Work:
        """What a run of the recipe does. Nothing, if its stages raise: that is for the search to record."""
        if recipe not in self.known:
            try:
                *stages, finetune = self._counted(recipe)
                self.known[recipe] = Work(base=recipe.base, stages=tuple(stages), finetune=finetune)
            except Exception:  # a policy of the user's own may raise anything
                self.known[recipe] = NO_WORK
        return self.known[recipe]

    def _counted(self, recipe: Recipe) -> Iterator[Part]:
        if recipe.base not in self._models:
            self._models[recipe.base] = build(recipe.base, self.context.data.tokenizer, SEEDS.init)
        model: nn.Module = self._models[recipe.base]
        for stage in (*recipe.stages, recipe.finetune):
            model = stage.equip(model, self.context)
            steps = len(stage.reads(self.context))
            batches = stage.batches(model, self.context) if steps else None
            sampled = sorted({round(i * (steps - 1) / (SAMPLED_STEPS - 1)) for i in range(SAMPLED_STEPS)}) if batches else []
            flops = statistics.mean(batches(step).flops for step in sampled) if batches else 0.0
            yield Part(kind=kind_of(stage), steps=steps, flops=flops)


def survey(
    recipes: Sequence[Recipe], data: Prepared, gpus: float, plugins: Sequence[str] = (), speed: Speed | None = None
) -> tuple[Counter, Speed]:
    """Count the work of these recipes, and time a few steps of the cheapest and the dearest of each kind unless the speed is
    known.

    In a process of its own where there is a GPU, as this one would keep a part of its memory until its end; and where there
    are plugins, as a policy of the user's own may end or stop the process that draws from it.
    """
    counter = Counter(data)
    if speed is UNKNOWN:  # nobody asks how long it takes
        counter.known |= dict.fromkeys(recipes, NO_WORK)
        return counter, speed
    if not plugins and device_of(gpus).type != "cuda":
        return counter, speed or measure(recipes, data, counter, gpus)
    asked = ([encode(recipe) for recipe in recipes], str(data.folder), gpus, tuple(plugins), speed)
    try:
        work, measured = apart(_surveyed, asked, WITHIN_S)
    except ProcessLost as lost:
        work, measured = [NO_WORK] * len(recipes), speed or replace(UNKNOWN, trouble=f"the process that tried {lost}")
    counter.known.update(zip(recipes, work, strict=True))
    return counter, measured


def _surveyed(
    recipes: list[dict[str, object]], folder: str, gpus: float, plugins: tuple[str, ...], speed: Speed | None
) -> tuple[list[Work], Speed]:
    for plugin in plugins:
        add_plugins(Path(plugin))
    decoded, data = [decode(Recipe, recipe) for recipe in recipes], Prepared(Path(folder))
    counter = Counter(data)
    work = [counter.work(recipe) for recipe in decoded]
    return work, speed or measure(decoded, data, counter, gpus)


def measure(recipes: Sequence[Recipe], data: Prepared, counter: Counter, gpus: float) -> Speed:
    """Time a few steps of the cheapest and the dearest of each kind of stage in these recipes, as far as they do any work."""
    by_base: dict[ModelSpec, list[Recipe]] = {}
    for recipe in recipes:
        by_base.setdefault(recipe.base, []).append(recipe)
    try:
        return Speed(paces={base: _measured(own, data, counter, gpus) for base, own in by_base.items()})
    except Exception as error:  # whatever a recipe raises: the search goes on without it, and so does its plan
        return replace(UNKNOWN, trouble=f"{type(error).__name__}: {error}")


def _measured(recipes: Sequence[Recipe], data: Prepared, counter: Counter, gpus: float) -> Pace:
    """Of recipes of one base model. A stage is timed as the first that trains: what is before it makes no step slower."""
    working = [recipe for recipe in recipes if counter.work(recipe) != NO_WORK] or recipes
    alone: dict[str, dict[float, Recipe]] = {}
    for recipe in working:
        work = counter.work(recipe)
        for part, stage in zip((*work.stages, work.finetune), (*recipe.stages, recipe.finetune), strict=False):
            only = replace(recipe, stages=() if stage is recipe.finetune else (stage,))
            if part.steps:
                alone.setdefault(part.kind, {})[part.flops] = only
    plain = replace(working[-1], stages=())
    parallel = Parallel(device=device_of(gpus))
    with one_thread():
        lines = {kind: _line(found, data, parallel) for kind, found in alone.items()}
        answer_s, start_s = _scoring(plain, data, parallel)
    return Pace(steps=lines, answer_s=answer_s, start_s=start_s)


def _line(recipes: Mapping[float, Recipe], data: Prepared, parallel: Parallel) -> Line:
    """The cheapest and the dearest of recipes, by the operations of a step of their first stage."""
    ends = sorted({min(recipes), max(recipes)})
    return tuple((flops, _step_s(recipes[flops], data, parallel)) for flops in ends)


def _step_s(recipe: Recipe, data: Prepared, parallel: Parallel) -> float:
    """Seconds of a step of a recipe's first stage."""
    return statistics.median(list(_step_seconds(recipe, data, parallel))[WARM_STEPS:])


def _step_seconds(recipe: Recipe, data: Prepared, parallel: Parallel) -> Iterator[float]:
    """The seconds of a few steps, over and over where a stage is shorter."""
    told = 0
    while told < WARM_STEPS + MEASURED_STEPS:
        events = run_recipe(recipe, Execution(data=data, seeds=SEEDS, parallel=parallel))
        for event in events:
            if not isinstance(event, Progress):
                break
            told += 1
            yield sum(event.seconds.values()) + _waited_for(parallel.device)
            if told >= WARM_STEPS + MEASURED_STEPS or event.step >= event.steps:
                break
        events.close()


def _waited_for(device: torch.device) -> float:
    """Seconds that a GPU still works at what it was told."""
    begun = time.perf_counter()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def _scoring(recipe: Recipe, data: Prepared, parallel: Parallel) -> tuple[float, float]:
    """Seconds to score an example, and to build the model with what its task needs of it."""
    begun = time.perf_counter()
    built: nn.Module = build(recipe.base, data.tokenizer, SEEDS.init)
    model = recipe.finetune.equip(built, Context(data=data, seeds=SEEDS)).to(parallel.device)
    ready = time.perf_counter()
    examples = data.splits["dev"][:BATCH]
    score(model, examples, data, parallel, Memory())
    return (time.perf_counter() - ready) / len(examples), ready - begun
