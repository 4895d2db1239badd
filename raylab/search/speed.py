"""How fast this machine is at a study's runs: a few steps measured, nothing kept.

A step's time follows its operations closely on one device. So the cheapest and the dearest step of a space are timed, and
what lies between them is interpolated; scoring is timed on a batch of questions.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
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
from raylab.trial import Execution, device_of, run_recipe

MEASURED_STEPS = 6
WARM_STEPS = 2
WITHIN_S = 300.0  # a survey in a process of its own: reading a large model can take minutes
SAMPLED_STEPS = 3  # of a stage, whose operations are counted
SEEDS = Seeds.of(0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """step: operations of a pretraining step and its seconds, the cheapest and the dearest that were timed. answer_s:
    seconds to score a question. start_s: to build the model. trouble: why nothing could be timed."""

    step: tuple[tuple[float, float], ...]
    finetune_step_s: float
    answer_s: float
    start_s: float
    trouble: str = ""

    def step_s(self, flops: float) -> float:
        """Seconds of a pretraining step of so many operations, on the line through what was timed."""
        if not self.step:
            return 0.0
        (least, quick), (most, slow) = self.step[0], self.step[-1]
        share = (flops - least) / (most - least) if most > least else 0.0
        return max(0.0, quick + share * (slow - quick)) if slow > quick else max(quick, slow)


UNKNOWN = Speed(step=(), finetune_step_s=0.0, answer_s=0.0, start_s=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a run does, before it runs: operations by estimate, from a few of its batches. stages: steps of each
    pretraining stage and the operations of one."""

    stages: tuple[tuple[int, float], ...]
    finetune: tuple[int, float]

    @property
    def flops(self) -> float:
        """Of all steps."""
        return sum(steps * flops for steps, flops in (*self.stages, self.finetune))

    def seconds(self, speed: Speed, questions: int) -> float:
        """From the model's start to the scores of so many questions."""
        trained = sum(steps * speed.step_s(flops) for steps, flops in self.stages) + self.finetune[0] * speed.finetune_step_s
        return speed.start_s + trained + questions * speed.answer_s


NO_WORK = Work(stages=(), finetune=(0, 0.0))


class Counter:
    """Counts the work of recipes of one base model on some data. known: what was counted."""

    def __init__(self, base: ModelSpec, data: Prepared) -> None:
        self.base, self.context = base, Context(data=data, seeds=SEEDS)
        self.known: dict[Recipe, Work] = {}

    @cached_property
    def model(self) -> PreTrainedModel:
        return build(self.base, self.context.data.tokenizer, SEEDS.init)

    def work(self, recipe: Recipe) -> Work:
        """What a run of the recipe does. Nothing, if its stages raise: that is for the search to record."""
        if recipe not in self.known:
            try:
                stages = tuple(map(self._counted, recipe.stages))
                self.known[recipe] = Work(stages=stages, finetune=self._counted(recipe.finetune))
            except Exception:  # a policy of the user's own may raise anything
                self.known[recipe] = NO_WORK
        return self.known[recipe]

    def _counted(self, stage: Stage) -> tuple[int, float]:
        steps, batches = len(stage.reads(self.context)), stage.batches(self.model, self.context)
        sampled = sorted({round(i * (steps - 1) / (SAMPLED_STEPS - 1)) for i in range(SAMPLED_STEPS)})
        return steps, statistics.mean(batches(step).flops for step in sampled)


def survey(
    recipes: Sequence[Recipe], base: ModelSpec, data: Prepared, gpus: float, plugins: Sequence[str] = (),
    speed: Speed | None = None,
) -> tuple[Counter, Speed]:  # fmt: skip
    """Count the work of these recipes, and time a few steps of the cheapest and the dearest unless the speed is known.

    In a process of its own where there is a GPU, as this one would keep a part of its memory until its end; and where there
    are plugins, as a policy of the user's own may end or stop the process that draws from it.
    """
    counter = Counter(base, data)
    if speed is UNKNOWN:  # nobody asks how long it takes
        counter.known |= dict.fromkeys(recipes, NO_WORK)
        return counter, speed
    if not plugins and device_of(gpus).type != "cuda":
        return counter, speed or measure(recipes, data, counter, gpus)
    asked = ([encode(recipe) for recipe in recipes], base, str(data.folder), gpus, tuple(plugins), speed)
    try:
        work, measured = apart(_surveyed, asked, WITHIN_S)
    except ProcessLost as lost:
        work, measured = [NO_WORK] * len(recipes), speed or replace(UNKNOWN, trouble=f"the process that tried {lost}")
    counter.known.update(zip(recipes, work, strict=True))
    return counter, measured


def _surveyed(
    recipes: list[dict[str, object]], base: ModelSpec, folder: str, gpus: float, plugins: tuple[str, ...], speed: Speed | None
) -> tuple[list[Work], Speed]:
    for plugin in plugins:
        add_plugins(Path(plugin))
    decoded, data = [decode(Recipe, recipe) for recipe in recipes], Prepared(Path(folder))
    counter = Counter(base, data)
    work = [counter.work(recipe) for recipe in decoded]
    return work, speed or measure(decoded, data, counter, gpus)


def measure(recipes: Sequence[Recipe], data: Prepared, counter: Counter, gpus: float) -> Speed:
    """Time a few steps of the cheapest and the dearest of these recipes, as far as they do any work."""
    try:
        return _measured([recipe for recipe in recipes if counter.work(recipe) != NO_WORK] or recipes, data, counter, gpus)
    except Exception as error:  # whatever a recipe raises: the search goes on without it, and so does its plan
        return replace(UNKNOWN, trouble=f"{type(error).__name__}: {error}")


def _measured(recipes: Sequence[Recipe], data: Prepared, counter: Counter, gpus: float) -> Speed:
    pretraining = [(counter.work(recipe).stages[0][1], recipe) for recipe in recipes if counter.work(recipe).stages]
    by_flops = sorted(pretraining, key=lambda pair: pair[0])
    ends = [by_flops[0], by_flops[-1]] if by_flops else []
    plain = replace(recipes[0], stages=())
    seconds = _timed([*(recipe for _, recipe in ends), plain], data, gpus)
    step = tuple((flops, took) for (flops, _), took in zip(ends, seconds[:-3], strict=True))
    return Speed(step=step, finetune_step_s=seconds[-3], answer_s=seconds[-2], start_s=seconds[-1])


def _timed(recipes: Sequence[Recipe], data: Prepared, gpus: float) -> list[float]:
    """Seconds of a step of each recipe's first stage, of scoring a question, and of building the model, as on a lane."""
    parallel, threads = Parallel(device=device_of(gpus)), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steps = [statistics.median(list(_step_seconds(recipe, data, parallel))[WARM_STEPS:]) for recipe in recipes]
        return [*steps, *_scoring(recipes[-1].base, data, parallel)]
    finally:
        torch.set_num_threads(threads)


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


def _scoring(base: ModelSpec, data: Prepared, parallel: Parallel) -> tuple[float, float]:
    begun = time.perf_counter()
    model = build(base, data.tokenizer, SEEDS.init).to(parallel.device)
    built = time.perf_counter()
    questions = data.splits["dev"][:BATCH]
    score(model, questions, data, parallel, Memory())
    return (time.perf_counter() - built) / len(questions), built - begun
