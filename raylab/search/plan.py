"""What a study is about to cost: runs, tokens, operations, time, disk and money.

What its runs will read is exact where the recipe is known before (raylab.search.reading): the trials that a space starts
with, or all of them where the sampler is a list or nothing that changes the reading is searched. Everything that the
results decide is bounded from below and above: which recipes the sampler proposes, which of them successive halving stops,
how long selection and the verdict's seeds go on. Operations are estimated from a few batches, seconds from a few steps that
are measured here (raylab.search.speed). What fails, or is lost with its machine, is not foreseen.
"""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raylab.errors import UserError
from raylab.recipe import Recipe, decode, run_key
from raylab.search.caps import SMALLEST, Share, Smallest
from raylab.search.learning import before_learning
from raylab.search.ledger import ENDED
from raylab.search.listed import listed
from raylab.search.reading import NOTHING, Bounds, Extremes, extremes, tokens, total
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
    speed: Speed | None = None, plugins: tuple[str, ...] = (),
) -> Plan:  # fmt: skip
    """Add up what is due of a study. Spends seconds on measuring, unless the speed is given; trains nothing that is kept."""
    forecast = _Forecast(conduct, lanes, workers)
    forecast.survey(gpus, plugins, speed)
    known = forecast.known
    return Plan(
        parts={
            **forecast.learning(), "exploration": forecast.exploration(), "selection": forecast.selection(),
            "verdict": forecast.verdict(),
        },
        known=(len(known), sum(tokens(recipe, forecast.seeds(0), conduct.data) for recipe in forecast.distinct(known))),
        lanes=lanes, devices=lanes * workers * (gpus or 1), disk_bytes=disk_needed(parameters, lanes), price=price,
        share=forecast.share(), cheapest_trial=round(forecast.trial(0).low), smallest=forecast.smallest(), run_s=forecast.run_s(),
        trouble=forecast.speed.trouble,
    )  # fmt: skip


class _Forecast:
    """What is known of the runs that are due. Run counts are by numbers of seeds, as raylab.search.study asks for them."""

    def __init__(self, conduct: Conduct, lanes: int, workers: int) -> None:
        self.conduct, self.lanes, self.workers = conduct, lanes, workers
        self.settings, self.data = conduct.settings, conduct.data
        self.space: Extremes = extremes(conduct.space, self.settings.setting)
        self.known = list(itertools.islice(_known(conduct), conduct.still_due()))

    def survey(self, gpus: float, plugins: tuple[str, ...], speed: Speed | None) -> None:
        """Count the work of what is known, and measure how fast that is done here."""
        ends = [*self.space.recipes[:WORKED], *self.known]
        due = dict.fromkeys(map(before_learning, [*ends, *map(self.conduct.space.plain, ends)]))
        self.counter, self.speed = survey(list(due), self.settings.setting.base, self.data, gpus, plugins, speed)
        self.ends = [recipe for recipe in ends if self.counted(recipe) != NO_WORK] or ends

    def counted(self, recipe: Recipe) -> Work:
        """What a run of the recipe does."""
        return self.counter.work(before_learning(recipe))

    def learning(self) -> dict[str, Part]:
        """The policies that are learned before the trials; nothing where there are none. How fast that goes is not measured."""
        due = [lesson for lesson in self.conduct.lessons if lesson.due(self.conduct.study)]
        if not self.conduct.lessons:
            return {}
        read, flops = sum(lesson.tokens for lesson in due), sum(lesson.flops for lesson in due)
        seconds = Bounds(low=read / LEARNING_TOKENS_S[1], high=read / LEARNING_TOKENS_S[0])
        part = Part(
            runs=Bounds.exactly(len(due)), tokens=Bounds.exactly(read), flops=Bounds.exactly(flops), seconds=seconds,
            wall_s=seconds,
        )  # fmt: skip
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

    def exploration(self) -> Part:
        """The trials that are due: those whose recipe is known, and those that a sampler has yet to propose."""
        due, rung, seeds = self.conduct.still_due(), next(iter(self.settings.rungs), None), self.seeds(0)
        ran = self.distinct(self.known)
        others = due - len(self.known)
        fewest = others if self.space.endless else 0  # without a number to draw, a proposal may have run already
        exact = [(tokens(r, seeds, self.data, rung), tokens(r, seeds, self.data)) for r in ran]
        read = total(Bounds(low=low, high=high) for low, high in exact)
        unknown = Bounds(low=self.space.tokens(seeds, self.data, rung).low, high=self.space.tokens(seeds, self.data).high)
        share = 1.0 if rung is None else rung
        splits = len(self.data.splits["dev"])
        flops, seconds = self._work(splits, share)
        known_flops = total(Bounds(low=share * w.flops, high=w.flops) for w in map(self.counted, ran))
        known_s = total(self._taken(recipe, splits, share) for recipe in ran)
        part = Part(
            runs=Bounds(low=len(ran) + fewest, high=len(ran) + others), tokens=read + unknown.times(fewest, others),
            flops=known_flops + flops.times(fewest, others), seconds=known_s + seconds.times(fewest, others),
        )  # fmt: skip
        return self._on_lanes(part, phases=1 if due else 0, longest=max(seconds.high, known_s.high / max(1, len(ran))))

    def selection(self) -> Part:
        """The race's runs: none where the leader is far ahead."""
        due = min(self.settings.trials, max(selection.CAPS)) > 1
        caps = [min(cap, self.settings.trials) for cap in selection.CAPS] if due else []
        read = [self.space.tokens(self.seeds(RACE_FROM + number), self.data) for number in range(1, len(caps) + 1)]
        most = total(bounds.times(0, cap) for bounds, cap in zip(read, caps, strict=True))
        flops, seconds = self._work(len(self.data.splits["dev"]))
        part = Part(
            runs=Bounds(high=sum(caps)), tokens=most, flops=flops.times(0, sum(caps)), seconds=seconds.times(0, sum(caps))
        )
        return self._on_lanes(part, phases=len(caps), longest=seconds.high, idle=True)

    def verdict(self) -> Part:
        """From a winner that is the baseline itself, at the first look, to all seeds there may be. A study that has run some
        of it may have the rest of it in its ledger, too."""
        planned = looks.planned(self.settings.seeds)
        first, most = planned[0], planned[-1]
        least = 0 if self.conduct.study.of_role("confirm", "baseline") else 1
        read = [self.space.tokens(self.verdict_seeds(seed), self.data) for seed in range(1, most + 1)]
        tokens_read = total(bounds.times(least, COMPARED) for bounds in read[:first])
        tokens_read += total(bounds.times(0, 2) for bounds in read[first:])
        pretraining = Bounds(low=least * first, high=COMPARED * first + 2 * (most - first))
        questions = len(self.data.splits["dev"]) + len(self.data.splits["test"])
        flops, seconds = self._work(questions)
        plain = self.counted(self.conduct.space.plain(self.ends[0]))
        plain_s = plain.seconds(self.speed, questions)
        part = Part(
            runs=Bounds(low=2 * pretraining.low, high=pretraining.high + first), tokens=tokens_read,
            flops=flops.times(pretraining.low, pretraining.high) + Bounds.exactly(plain.flops).times(least * first, first),
            seconds=seconds.times(pretraining.low, pretraining.high) + self._slack(plain_s).times(least * first, first),
        )  # fmt: skip
        return self._on_lanes(part, phases=len(planned), longest=seconds.high)

    def share(self) -> Share:
        """What the verdict's first look takes at most, whichever recipe wins."""
        first = looks.planned(self.settings.seeds)[0]
        read = total(self.space.tokens(self.verdict_seeds(seed), self.data) for seed in range(1, first + 1))
        return Share(tokens=round(COMPARED * read.high), rounds=-(-(COMPARED + 1) * first // self.lanes))  # with the plain one

    def trial(self, number: int) -> Bounds:
        """Corpus tokens of a trial, by its number among those that are due."""
        if number < len(self.known):
            return Bounds.exactly(tokens(self.known[number], self.seeds(0), self.data))
        return self.space.tokens(self.seeds(0), self.data)

    def smallest(self) -> Smallest:
        """The smallest useful search."""
        share = self.share()
        learning = self.learning().get("learning", Part())
        trials = total(map(self.trial, range(min(SMALLEST, self.conduct.still_due()))))
        read = round(learning.tokens.high + trials.high) + share.tokens
        seconds = START_S + learning.wall_s.low + (-(-SMALLEST // self.lanes) + share.rounds) * self.run_s()
        return Smallest(tokens=read, seconds=seconds, seeds=looks.planned(self.settings.seeds)[0])

    def run_s(self) -> float:
        """Seconds of the longest run there may be."""
        return self._work(len(self.data.splits["dev"]) + len(self.data.splits["test"]))[1].high

    def _work(self, questions: int, share: float = 1.0) -> tuple[Bounds, Bounds]:
        """Operations and seconds of a run of a recipe that is not known."""
        work = [self.counted(recipe) for recipe in self.ends]
        flops = Bounds.of(w.flops for w in work)
        taken = [self._taken(recipe, questions, share) for recipe in self.ends]
        seconds = Bounds(low=min(t.low for t in taken), high=max(t.high for t in taken))
        return Bounds(low=share * flops.low, high=flops.high), seconds

    def _taken(self, recipe: Recipe, questions: int, share: float = 1.0) -> Bounds:
        """Seconds of a run, to the rung at least where it may be stopped there."""
        work = self.counted(recipe)
        whole = work.seconds(self.speed, questions)
        if share == 1.0:
            return self._slack(whole)
        probe = PROBE_STEPS * work.finetune[0] * self.speed.finetune_step_s
        probe += min(PROBE_QUESTIONS, len(self.data.splits["dev"])) * self.speed.answer_s
        pretraining = work.seconds(self.speed, 0) - work.finetune[0] * self.speed.finetune_step_s - self.speed.start_s
        return Bounds(low=(share * pretraining + probe) / SLACK, high=(whole + probe) * SLACK)

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
