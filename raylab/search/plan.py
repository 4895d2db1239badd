"""What a study is about to cost: runs, tokens, operations, time, disk and money.

What its runs will read is exact where the recipe is known before (raylab.search.reading): the trials that a space starts
with, or all of them where the sampler is a list or nothing that changes the reading is searched. Everything that the
results decide is bounded from below and above: which recipes the sampler proposes, which of them successive halving stops,
how long selection and the verdict's seeds go on. Operations are estimated from a few batches, seconds from a few steps that
are measured here (raylab.search.speed). What fails, or is lost with its machine, is not foreseen.
"""

import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raylab.errors import UserError
from raylab.recipe import Recipe, decode, run_key
from raylab.search.caps import SMALLEST, Share, Shared, Smallest
from raylab.search.learning import before_learning
from raylab.search.ledger import ENDED
from raylab.search.listed import listed
from raylab.search.reading import NOTHING, Bounds, Extremes, extremes, tokens, tokens_apart, total
from raylab.search.speed import NO_WORK, Speed, Work, survey
from raylab.search.study import RACE_FROM, Conduct, numbers_due
from raylab.seeds import Seeds
from raylab.trial import PROBE_QUESTIONS, PROBE_STEPS
from raylab.verdict import looks, selection

START_S = 15.0  # lanes, measured on two cores
COMPARED = 3  # arms that pretrain in the verdict, at most: winner, baseline, best baseline found
WORKED = 48  # recipes at the ends of a space whose operations are counted
LEARNING_TOKENS_S = (3_000, 200_000)  # of a policy on one thread: a busy machine, and an idle one
SLACK = 1.3  # what a step takes longer, or shorter, than measured: neighbours share memory and cores


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a study. seconds: of all its runs together, on one lane. wall_s: on the lanes that there are."""

    runs: Bounds = NOTHING
    tokens: Bounds = NOTHING
    flops: Bounds = NOTHING
    seconds: Bounds = NOTHING
    wall_s: Bounds = NOTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The cost of what is due of a study. parts: by name. known: trials whose recipe is known, and the corpus tokens that they
    read, exactly, unless one is stopped on the way. disk_bytes: at the fullest. devices: GPUs, or cores where there
    are none, that are held at once. price: USD for one of them and an hour. share: the verdict's, to be set aside.
    cheapest_trial: its corpus tokens. smallest: the smallest useful search. run_s: seconds of the longest run. trouble: why
    seconds are not known."""

    parts: dict[str, Part]
    known: tuple[int, int]
    lanes: int
    devices: float
    disk_bytes: int
    share: Share
    cheapest_trial: int
    smallest: Smallest
    run_s: float
    price: float | None = None
    trouble: str = ""

    @property
    def tokens(self) -> Bounds:
        """Corpus tokens of all runs."""
        return total(part.tokens for part in self.parts.values())

    @property
    def flops(self) -> Bounds:
        """Operations of all runs."""
        return total(part.flops for part in self.parts.values())

    @property
    def seconds(self) -> Bounds:
        """Wall time, the lanes' start included."""
        return total(part.wall_s for part in self.parts.values()) + Bounds.exactly(START_S)

    @property
    def usd(self) -> Bounds | None:
        """What the devices cost; None without a price, or where the time is not known."""
        return None if self.price is None or self.trouble else self.seconds.times(self.devices * self.price / 3600)

    def plain(self) -> dict[str, Any]:
        """As the ledger and `--json` hold it; a pair is at least and at most, None what is not known."""
        parts = {
            name: {what: _pair(getattr(part, what)) for what in ("runs", "tokens", "flops", "seconds")}
            for name, part in self.parts.items()
        }
        return {
            "parts": parts, "known": {"trials": self.known[0], "tokens": self.known[1]}, "tokens": _pair(self.tokens),
            "flops": _pair(self.flops) if self.flops.high else None,
            "seconds": None if self.trouble else _pair(self.seconds), "disk_bytes": self.disk_bytes, "devices": self.devices,
            "price": self.price, "usd": _pair(self.usd) if self.usd else None,
        }  # fmt: skip


def plan(
    conduct: Conduct, lanes: int, parameters: int, *, workers: int = 1, gpus: float = 0.0, price: float | None = None,
    speed: Speed | None = None, plugins: tuple[str, ...] = (), cache: Shared | None = None,
) -> Plan:  # fmt: skip
    """Add up what is due of a study. cache: of stages, by which runs that begin alike read that once; None without one. Spends
    seconds on measuring, unless the speed is given; trains nothing that is kept."""
    forecast = _Forecast(conduct, lanes, workers, cache)
    forecast.survey(gpus, plugins, speed)
    known = forecast.known
    return Plan(
        parts={
            **forecast.learning(), "exploration": forecast.exploration(), "selection": forecast.selection(),
            "verdict": forecast.verdict(),
        },
        known=(len(known), round(forecast.read(forecast.distinct(known), forecast.seeds(0)).high)),
        lanes=lanes, devices=lanes * workers * (gpus or 1), price=price,
        disk_bytes=disk_needed(parameters, lanes) + forecast.cached_bytes(parameters),
        share=forecast.share(), cheapest_trial=forecast.cheapest_trial(), smallest=forecast.smallest(), run_s=forecast.run_s(),
        trouble=forecast.speed.trouble,
    )  # fmt: skip


class _Forecast:
    """What is known of the runs that are due. Run counts are by numbers of seeds, as raylab.search.study asks for them."""

    def __init__(self, conduct: Conduct, lanes: int, workers: int, cache: Shared | None) -> None:
        self.conduct, self.lanes, self.workers, self.cache = conduct, lanes, workers, cache
        self.settings, self.data = conduct.settings, conduct.data
        self.space: Extremes = extremes(conduct.space, self.settings.setting)
        self.known = list(itertools.islice(_known(conduct), conduct.still_due()))

    def survey(self, gpus: float, plugins: tuple[str, ...], speed: Speed | None) -> None:
        """Count the work of what is known, and measure how fast that is done here."""
        ends = [*self.space.recipes[:WORKED], *self.known]
        due = dict.fromkeys(map(before_learning, [*ends, *self.space.beginnings, *map(self.conduct.space.plain, ends)]))
        self.counter, self.speed = survey(list(due), self.data, gpus, plugins, speed)
        self.ends = [recipe for recipe in ends if self.counted(recipe) != NO_WORK] or ends

    def counted(self, recipe: Recipe) -> Work:
        """What a run of the recipe does."""
        return self.counter.work(before_learning(recipe))

    def learning(self) -> dict[str, Part]:
        """The policies that are learned before the trials; nothing where there are none. How fast that goes is not measured."""
        due = [lesson for lesson in self.conduct.lessons if lesson.due(self.conduct.study)]
        if not self.conduct.lessons:
            return {}
        read = total(Bounds.exactly(lesson.tokens).times(1 / lesson.within, lesson.within) for lesson in due)
        flops = total(Bounds.exactly(lesson.flops).times(1 / lesson.within, lesson.within) for lesson in due)
        seconds = Bounds(low=read.low / LEARNING_TOKENS_S[1], high=read.high / LEARNING_TOKENS_S[0])
        part = Part(runs=Bounds.exactly(len(due)), tokens=read, flops=flops, seconds=seconds, wall_s=seconds)
        return {"learning": part}

    def seeds(self, replicate: int) -> Seeds:
        return Seeds.of(self.settings.seed, replicate)

    def verdict_seeds(self, seed: int) -> Seeds:
        return self.seeds(self.conduct.verdict_replicate(seed))

    def distinct(self, recipes: list[Recipe]) -> list[Recipe]:
        """Those that run: of equal ones one, and none that ran already."""
        study, seeds = self.conduct.study, self.seeds(0)
        by_key = {run_key(recipe, seeds, self.data.fingerprint): recipe for recipe in recipes}
        return [recipe for key, recipe in by_key.items() if not study.has_ended(key)]

    def read(self, recipes: Sequence[Recipe], seeds: Seeds, rung: float | None = None) -> Bounds:
        """Corpus tokens of runs of these recipes; at least, if all of them stop at the rung."""
        alone = sum(tokens(recipe, seeds, self.data) for recipe in recipes)
        if self.cache is None:
            least = alone if rung is None else sum(tokens(recipe, seeds, self.data, rung) for recipe in recipes)
            return Bounds(low=least, high=alone)
        if rung is None:
            return Bounds.exactly(tokens_apart(recipes, seeds, self.data, self.cache.held))
        first = {(recipe.base, recipe.stages[:1]): tokens(recipe, seeds, self.data, rung) for recipe in recipes}
        return Bounds(low=0 if self.cache.held else sum(first.values()), high=alone)  # what stops at a rung is not kept

    def unknown(self, fewest: int, most: int, seeds: Seeds, rung: float | None = None) -> Bounds:
        """Corpus tokens of so many runs, on the same seeds, of recipes that are not known."""
        alone = Bounds(low=self.space.tokens(seeds, self.data, rung).low, high=self.space.tokens(seeds, self.data).high)
        bounds = alone.times(fewest, most)
        if self.cache is None:
            return bounds
        least = 0 if self.cache.held or self.space.repeats else bounds.low
        if self.space.beginnings and rung is None:
            together = tokens_apart(self.space.beginnings, seeds, self.data, self.cache.held)
            return Bounds(low=least, high=min(bounds.high, together))
        return Bounds(low=least, high=bounds.high)

    def exploration(self) -> Part:
        """The trials that are due: those whose recipe is known, and those that a sampler has yet to propose."""
        due, rung = self.conduct.still_due(), next(iter(self.settings.rungs), None)
        ran = self.distinct(self.known)
        others = due - len(self.known)
        fewest = others if self.space.endless else 0  # without a number to draw, a proposal may have run already
        share = 1.0 if rung is None else rung
        splits = len(self.data.splits["dev"])
        flops, seconds = self._work(fewest, others, splits, share)
        known_flops, known_s = self._known_work(ran, splits, share)
        part = Part(
            runs=Bounds(low=len(ran) + fewest, high=len(ran) + others), tokens=self._explored(ran, fewest, others, rung),
            flops=known_flops + flops, seconds=known_s + seconds,
        )  # fmt: skip
        longest = max((self._taken(recipe, splits, share).high for recipe in (*self.ends, *ran)), default=0.0)
        return self._on_lanes(part, phases=1 if due else 0, longest=longest)

    def _explored(self, known: Sequence[Recipe], fewest: int, most: int, rung: float | None) -> Bounds:
        """Corpus tokens of exploration; where all ways to begin are known, each of them is read once at most."""
        seeds = self.seeds(0)
        read = self.read(known, seeds, rung) + self.unknown(fewest, most, seeds, rung)
        if self.cache is None or rung is not None or not self.space.beginnings:
            return read
        together = tokens_apart([*known, *self.space.beginnings], seeds, self.data, self.cache.held)
        return replace(read, high=min(read.high, together))

    def selection(self) -> Part:
        """The race's runs: none where the leader is far ahead."""
        due = min(self.settings.trials, max(selection.CAPS)) > 1
        caps = [min(cap, self.settings.trials) for cap in selection.CAPS] if due else []
        splits = len(self.data.splits["dev"])
        work = [self._work(0, cap, splits) for cap in caps]
        part = Part(
            runs=Bounds(high=sum(caps)),
            tokens=total(self.unknown(0, cap, self.seeds(RACE_FROM + number)) for number, cap in enumerate(caps, start=1)),
            flops=total(flops for flops, _ in work), seconds=total(seconds for _, seconds in work),
        )  # fmt: skip
        return self._on_lanes(part, phases=len(caps), longest=self._longest_s(splits), idle=True)

    def verdict(self) -> Part:
        """From a winner that is the baseline itself, at the first look, to all seeds there may be. A study that has run some
        of it may have the rest of it in its ledger, too."""
        planned = looks.planned(self.settings.seeds)
        first, most = planned[0], planned[-1]
        least = 0 if self.conduct.study.of_role("confirm", "baseline") else 1
        arms = [(least, COMPARED)] * first + [(0, 2)] * (most - first)  # that pretrain, seed by seed
        examples = len(self.data.splits["dev"]) + len(self.data.splits["test"])
        work = [self._work(*arm, examples) for arm in arms]
        pretraining = Bounds(low=least * first, high=COMPARED * first + 2 * (most - first))
        plain = self.counted(self.conduct.space.plain(self.ends[0]))
        plain_s = self._slack(plain.seconds(self.speed, examples))
        part = Part(
            runs=Bounds(low=2 * pretraining.low, high=pretraining.high + first),
            tokens=total(self.unknown(*arm, self.verdict_seeds(seed)) for seed, arm in enumerate(arms, start=1)),
            flops=total(flops for flops, _ in work) + Bounds.exactly(plain.flops).times(least * first, first),
            seconds=total(seconds for _, seconds in work) + plain_s.times(least * first, first),
        )  # fmt: skip
        return self._on_lanes(part, phases=len(planned), longest=self._longest_s(examples))

    def share(self) -> Share:
        """What the verdict's first look takes at most, whichever recipe wins."""
        first = looks.planned(self.settings.seeds)[0]
        read = total(self.unknown(0, COMPARED, self.verdict_seeds(seed)) for seed in range(1, first + 1))
        return Share(tokens=round(read.high), rounds=-(-(COMPARED + 1) * first // self.lanes))  # with the plain one

    def cheapest_trial(self) -> int:
        """The fewest corpus tokens that the next trial can read."""
        seeds = self.seeds(0)
        return round((self.read(self.known[:1], seeds) if self.known else self.unknown(1, 1, seeds)).low)

    def cached_bytes(self, parameters: int) -> int:
        """What the cache of stages grows by at most: a model a run and stage, in float32, as far as there is room."""
        if self.cache is None:
            return 0
        runs = self.exploration().runs.high + self.selection().runs.high + self.verdict().runs.high
        depth = max(len(recipe.stages) for recipe in self.space.recipes)
        return min(self.cache.room_bytes, round(runs) * depth * 4 * parameters)

    def smallest(self) -> Smallest:
        """The smallest useful search."""
        share, seeds, due = self.share(), self.seeds(0), min(SMALLEST, self.conduct.still_due())
        learning = self.learning().get("learning", Part())
        known = self.known[:due]
        trials = self.read(known, seeds) + self.unknown(0, due - len(known), seeds)
        read = round(learning.tokens.high + trials.high) + share.tokens
        seconds = START_S + learning.wall_s.low + (-(-SMALLEST // self.lanes) + share.rounds) * self.run_s()
        return Smallest(tokens=read, seconds=seconds, seeds=looks.planned(self.settings.seeds)[0])

    def run_s(self) -> float:
        """Seconds of the longest run there may be."""
        return self._longest_s(len(self.data.splits["dev"]) + len(self.data.splits["test"]))

    def _longest_s(self, examples: int) -> float:
        return max(self._taken(recipe, examples).high for recipe in self.ends)

    def _work(self, fewest: int, most: int, examples: int, share: float = 1.0) -> tuple[Bounds, Bounds]:
        """Operations and seconds of so many runs of recipes that are not known, on the same seeds."""
        work = [self.counted(recipe) for recipe in self.ends]
        taken = [self._taken(recipe, examples, share) for recipe in self.ends]
        flops = Bounds(low=share * min(w.flops for w in work), high=max(w.flops for w in work)).times(fewest, most)
        seconds = Bounds(low=min(t.low for t in taken), high=max(t.high for t in taken)).times(fewest, most)
        if self.cache is None or not (self.space.repeats or self.cache.held):
            return flops, seconds
        after = [self._after(w, examples) for w in work]
        flops, seconds = (
            replace(flops, low=fewest * min(w.finetuning_flops for w in work)),
            replace(seconds, low=fewest * min(a.low for a in after)),
        )
        if not self.space.beginnings or share < 1.0:
            return flops, seconds
        begun = [self.counted(recipe) for recipe in self.space.beginnings]
        flops_high = sum(w.pretraining_flops for w in begun) + most * max(w.finetuning_flops for w in work)
        begun_s = self._slack(sum(w.pretraining_s(self.speed) for w in begun)).high
        seconds_high = begun_s + most * max(a.high for a in after)
        return replace(flops, high=min(flops.high, flops_high)), replace(seconds, high=min(seconds.high, seconds_high))

    def _known_work(self, recipes: Sequence[Recipe], examples: int, share: float) -> tuple[Bounds, Bounds]:
        """Operations and seconds of runs of these recipes, on the same seeds: what begins alike is begun once, unless it is
        stopped at a rung."""
        work = {recipe: self.counted(recipe) for recipe in recipes}
        flops = total(Bounds(low=share * w.flops, high=w.flops) for w in work.values())
        seconds = total(self._taken(recipe, examples, share) for recipe in recipes)
        if self.cache is None:
            return flops, seconds
        begun = {(recipe.base, recipe.stages): w for recipe, w in work.items()}.values()
        least = [] if self.cache.held else begun  # which of them are held is not looked at
        after = [self._after(w, examples) for w in work.values()]
        flops_low, flops_high = (
            share * sum(w.pretraining_flops for w in some) + sum(w.finetuning_flops for w in work.values())
            for some in (least, begun)
        )
        seconds_low = share * self._slack(sum(w.pretraining_s(self.speed) for w in least)).low + sum(a.low for a in after)
        seconds_high = self._slack(sum(w.pretraining_s(self.speed) for w in begun)).high + sum(a.high for a in after)
        whole = share == 1.0
        return (
            Bounds(low=min(flops.low, flops_low), high=flops_high if whole else flops.high),
            Bounds(low=min(seconds.low, seconds_low), high=seconds_high if whole else seconds.high),
        )

    def _after(self, work: Work, examples: int) -> Bounds:
        """Seconds of a run whose pretraining is there."""
        return self._slack(work.seconds(self.speed, examples) - work.pretraining_s(self.speed))

    def _taken(self, recipe: Recipe, examples: int, share: float = 1.0) -> Bounds:
        """Seconds of a run, to the rung at least where it may be stopped there."""
        work = self.counted(recipe)
        whole = work.seconds(self.speed, examples)
        if share == 1.0:
            return self._slack(whole)
        probe = PROBE_STEPS * work.finetuning_s(self.speed)
        probe += min(PROBE_QUESTIONS, len(self.data.splits["dev"])) * self.speed.of(work.base).answer_s
        return Bounds(low=(share * work.pretraining_s(self.speed) + probe) / SLACK, high=(whole + probe) * SLACK)

    def _slack(self, seconds: float) -> Bounds:
        return Bounds(low=seconds / SLACK, high=seconds * SLACK)

    def _on_lanes(self, part: Part, *, phases: int, longest: float, idle: bool = False) -> Part:
        """With its wall time: no lanes are idle at best; at worst the last run of each phase begins when the others end
        (Graham 1969, SIAM Journal on Applied Mathematics 17)."""
        speedup = self.lanes * self.workers
        low = part.seconds.low / speedup
        high = part.seconds.high / self.lanes + phases * (1 - 1 / self.lanes) * longest
        return Part(
            runs=part.runs, tokens=part.tokens, flops=part.flops, seconds=part.seconds,
            wall_s=Bounds(low=0.0 if idle else low, high=high),
        )  # fmt: skip


def _known(conduct: Conduct) -> Iterator[Recipe]:
    """The recipes of the next trials, as far as they are decided: those that were begun, then the space's starts, or, where
    the sampler is a list, all."""
    settings, study = conduct.settings, conduct.study
    if settings.sampler == "list":
        for number in numbers_due(study):
            yield listed(conduct.space, settings.setting, settings.seed, number, conduct.starts())[0]
    explored = study.of_role("explore")
    yield from (decode(Recipe, run.recipe) for run in explored if run.state not in ENDED)
    known = [run.values for run in explored]
    starts = (values for values in conduct.starts() if values not in known)
    yield from (conduct.space.decode(values, settings.setting)[0] for values in starts)


def disk_needed(parameters: int, lanes: int) -> int:
    """Bytes at the fullest: three checkpoints a lane (weights and two moments in float32), the winner, the ledger."""
    return 4 * parameters * (9 * lanes + 1) + 50_000_000


def check_room(folder: Path, parameters: int, lanes: int) -> None:
    """Raise UserError if the disk below `folder` cannot hold what the study writes."""
    needed, free = disk_needed(parameters, lanes), shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder} has {free / 1e9:.2f} GB free; this study needs about {needed / 1e9:.2f} GB for checkpoints. "
            "Free some, or give another folder with --storage."
        )


def _pair(bounds: Bounds) -> list[float]:
    return [round(bounds.low, 3), round(bounds.high, 3)]
