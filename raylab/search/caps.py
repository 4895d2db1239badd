"""Caps on what a study may cost: tokens, hours, money. They are hard, and the verdict's share of them is set aside first.

A run begins only if the corpus tokens that it will read, which are known before (raylab.search.reading), fit into what is
left; a trial, or a round of selection, only if after it the verdict's first look still fits, with whatever recipe may win.
So `--max-tokens` is never overshot. What runs that begin alike share counts once, from the run on that trains it; should the
cache of stages not keep it, as a disk is full, runs count in full from then on. Hours and money are the time for which
devices are held: a run begins only if one as long as the longest so far fits, and lanes stop it at the step at which its
time is over, in the state `stopped`.

What a study used before it was resumed counts. A cap ends a phase early; which ones, and why, is in `closed`.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.recipe import Recipe, decode
from raylab.search.ledger import ENDED, Run, Study
from raylab.search.reading import by_prefix, tokens
from raylab.seeds import Seeds

if TYPE_CHECKING:
    from raylab.search.study import Request

SMALLEST = 2  # trials: with one there is nothing to choose
EXPLORATION, SELECTION, VERDICT = "exploration", "selection", "verdict"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """max_hours: of a driver at work. max_cost: USD, for all devices that are held, at `price` for one and an hour."""

    max_tokens: int | None = None
    max_hours: float | None = None
    max_cost: float | None = None
    price: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_hours", "max_cost", "price"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UserError(f"--{name.replace('_', '-')} is {value:g}; expected a positive number{_UNITS[name]}.")
        if self.max_cost is not None and self.price is None:
            raise UserError("--max-cost needs --price, what a device costs: USD for a worker's GPU, or its core, and an hour.")

    @property
    def any(self) -> bool:
        """Is there a cap at all?"""
        return any(value is not None for value in self.plain().values())

    def seconds_left(self, study: Study, devices: float) -> float:
        """How long a driver may still work on a study that holds so many devices; infinite without a cap."""
        hours = math.inf if self.max_hours is None else 3600 * self.max_hours - study.worked_s
        paid = math.inf
        if self.max_cost is not None and self.price is not None:
            paid = 3600 * (self.max_cost - study.usd) / (self.price * devices)
        return min(hours, paid)

    def plain(self) -> dict[str, Any]:
        """As the ledger holds them."""
        return {"max_tokens": self.max_tokens, "max_hours": self.max_hours, "max_cost": self.max_cost}


_AT_WORK = ("waiting", "running")
_UNITS = {"max_tokens": " of corpus tokens", "max_hours": " of hours", "max_cost": " of USD", "price": " of USD, e.g. 2.5"}


class Unlimited:
    """No cap: everything may run, for as long as it takes."""

    closed: Mapping[str, str] = MappingProxyType({})

    def admits(self, request: "Request") -> bool:
        """May this trial begin? If not, exploration is over."""
        return True

    def refusal(self, requests: Sequence["Request"], phase: str) -> str:
        """Why these runs of selection, or of the verdict, may not begin; empty if they may."""
        return ""

    def begin(self, requests: Sequence["Request"]) -> None:
        """These are about to run."""

    def until(self, role: str) -> float | None:
        """Unix time at which a run of this role that begins now is stopped."""
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """The cache of stages as a study finds it. held: stage keys of the models that stand there. room_bytes: for more of them."""

    held: frozenset[str] = frozenset()
    room_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What the verdict's first look takes at most: corpus tokens; and its rounds of runs, as many at a time as there are
    lanes."""

    tokens: int
    rounds: int


class Allowance(Unlimited):
    """What may still run of a study under its caps. seconds_left: of its time, from now on. run_s: of a run, as it was
    planned, until one has ended. cache: of stages, if runs share one."""

    def __init__(
        self, caps: Caps, study: Study, data: Prepared, *, seed: int, share: Share, lanes: int, seconds_left: float,
        run_s: float, cache: Shared | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.caps, self.study, self.data, self.seed = caps, study, data, seed
        self.share, self.lanes, self.run_s, self._clock = share, lanes, run_s, clock
        self.end = clock() + seconds_left
        self.closed: dict[str, str] = {}
        self._cache = cache
        self._admitted: dict[str, int] = {}  # tokens by run key; the ledger hears of a run a little later
        self._trained: dict[str, frozenset[str]] = {}  # by run key: the stages after which it leaves its model

    def admits(self, request: "Request") -> bool:
        if EXPLORATION in self.closed:
            return False
        if reason := self.refusal([request], EXPLORATION):
            self.closed[EXPLORATION] = reason
            return False
        self.begin([request])
        return True

    def refusal(self, requests: Sequence["Request"], phase: str) -> str:
        begun = any(request.key in self.study.runs or request.key in self._admitted for request in requests)
        if not requests or (reason := self._too_many_tokens(requests, phase)):
            return reason if requests else ""
        if begun:
            return ""
        if phase == SELECTION and self._own("confirm"):  # it was ended before, and the winner stands
            return "a cap ended it before"
        return self._too_late(requests, phase)

    def begin(self, requests: Sequence["Request"]) -> None:
        for request in requests:
            if request.key not in self._admitted:
                self._admitted[request.key] = self._wanted([request])
                self._trained[request.key] = frozenset() if request.rungs else frozenset(request.stages)

    def until(self, role: str) -> float | None:
        if not math.isfinite(self.end):
            return None
        return self.end if role in ("confirm", "baseline") else self.end - self._verdict_s()

    def close(self, trial_tokens: int) -> None:
        """End exploration before it begins if not even the cheapest trial fits."""
        cap = self.caps.max_tokens
        committed = sum(self._committed().values())
        kept = max(0, self.share.tokens - self._verdict_tokens())
        if cap is not None and committed + trial_tokens + kept > cap:
            self.closed[EXPLORATION] = self._no_room(trial_tokens, committed, kept)
        elif reason := self._too_late([None], EXPLORATION):
            self.closed[EXPLORATION] = reason

    def _too_many_tokens(self, requests: Sequence["Request"], phase: str) -> str:
        cap = self.caps.max_tokens
        if cap is None:
            return ""
        committed = self._committed()
        wanted = self._wanted([request for request in requests if request.key not in committed])
        kept = 0 if phase == VERDICT else max(0, self.share.tokens - self._verdict_tokens())
        if sum(committed.values()) + wanted + kept <= cap:
            return ""
        return self._no_room(wanted, sum(committed.values()), kept)

    def _wanted(self, requests: Sequence["Request"]) -> int:
        """Corpus tokens that these will read beside what others train."""
        held = self._held()
        read = {key: n for r in requests for key, n in by_prefix(r.recipe, r.seeds, self.data, held or ())}
        return sum(read.values()) if held is not None else sum(tokens(r.recipe, r.seeds, self.data) for r in requests)

    def _held(self) -> frozenset[str] | None:
        """The stages that no run need train any more: those in the cache, and those that runs train which were admitted. None if
        runs share nothing."""
        if self._cache is None or self._lost():
            return None
        runs = self.study.runs
        whole = (key for key in self._trained if key not in runs or runs[key].state in ("finished", *_AT_WORK))
        return self._cache.held.union(*(self._trained[key] for key in whole))

    def _lost(self) -> bool:
        """Whether runs that have ended read more than they were admitted for: the cache did not keep what it was to."""
        ended = [run for run in list(self.study.runs.values()) if run.key in self._admitted and run.state in ENDED]
        return sum(int(run.metrics.get("tokens", 0)) for run in ended) > sum(self._admitted.values())

    def _no_room(self, wanted: int, committed: int, kept: int) -> str:
        beside = f"the {committed:,} read so far{f' and the {kept:,} kept for the verdict' if kept else ''}"
        return f"--max-tokens {self.caps.max_tokens:,} has no room for {wanted:,} more beside {beside}"

    def _too_late(self, requests: Sequence["Request | None"], phase: str) -> str:
        left = self.end - self._clock()
        if not math.isfinite(left):
            return ""
        rounds = -(-len(requests) // self.lanes)
        needed = rounds * self._longest_s() + (0.0 if phase == VERDICT else self._verdict_s())
        first_look = phase == VERDICT and not any(r.state == "finished" for r in self._own("confirm"))
        if needed <= left or (first_look and left > 0):  # what was kept for the first look is used, whatever comes of it
            return ""
        kept = "" if phase == VERDICT else f" and {self._verdict_s():,.0f} s kept for the verdict"
        return f"{self._name()} leaves {max(0.0, left):,.0f} s, with runs of up to {self._longest_s():,.0f} s{kept}"

    def _committed(self) -> dict[str, int]:
        read = {
            run.key: self._tokens_of(run) for run in list(self.study.runs.values()) if not run.origin or run.state not in ENDED
        }
        return {**self._admitted, **read}

    def _tokens_of(self, run: Run) -> int:
        """Those that it read, or, if it still runs, will have read."""
        if run.state in ENDED:
            return int(run.metrics.get("tokens", 0))
        if run.key in self._admitted:
            return self._admitted[run.key]
        held = self._cache.held if self._cache else ()
        read = by_prefix(decode(Recipe, run.recipe), Seeds.of(self.seed, run.replicate), self.data, held)
        return sum(n for _, n in read)

    def _verdict_tokens(self) -> int:
        return sum(int(run.metrics.get("tokens", 0)) for run in self._own("confirm", "baseline"))

    def _verdict_s(self) -> float:
        return self.share.rounds * self._longest_s()

    def _longest_s(self) -> float:
        took = [
            run.ended - run.started
            for run in self._own()
            if run.role != "learn" and run.ended and run.started and run.state == "finished"
        ]
        return max(took, default=self.run_s)

    def _own(self, *roles: str) -> list[Run]:
        return [run for run in list(self.study.runs.values()) if not run.origin and (not roles or run.role in roles)]

    def _name(self) -> str:
        hours, cost = self.caps.max_hours, self.caps.max_cost
        return " and ".join(
            [*([f"--max-hours {hours:g}"] if hours is not None else []), *([f"--max-cost {cost:g}"] if cost is not None else [])]
        )


def check_smallest(caps: Caps, smallest: "Smallest", devices: float) -> None:
    """Raise UserError for a cap below the smallest useful search."""
    given = {"max_tokens": caps.max_tokens, "max_hours": caps.max_hours, "max_cost": caps.max_cost}
    hours = smallest.seconds / 3600
    least = {"max_tokens": smallest.tokens, "max_hours": hours, "max_cost": hours * devices * (caps.price or 0.0)}
    for name, value in given.items():
        if value is not None and value < least[name]:
            needed = f"{least[name]:,}" if name == "max_tokens" else f"{math.ceil(100 * least[name]) / 100:g}"
            raise UserError(
                f"--{name.replace('_', '-')} {value:,} is too little: the smallest useful search, {SMALLEST} trials and the "
                f"verdict's first {smallest.seeds} seeds, takes up to {needed}{_UNITS[name].partition(',')[0]}. Give at least "
                "that, or make runs smaller with --set budget_tokens=N."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Smallest:
    """The smallest useful search: two trials and the verdict's first look, at so many seeds."""

    tokens: int
    seconds: float
    seeds: int
