"""A study from its first trial to its verdict: explore, select on dev, confirm on fresh seeds and test, conclude.

    explore   every proposed recipe once: replicate 0. ASHA may stop it early.
    select    the best of them race on further seeds, replicates 1001, 1002, ..., on dev (raylab.verdict.selection).
    confirm   the winner and what it is compared with, replicates 1, 2, ..., on test: seeds and questions no selection saw
              (a study that continues another goes on behind the last one that its parent used: raylab.search.lineage),
              and no run is stopped early. Seeds are added until the winner is separated from its baseline, or there are no
              more (raylab.verdict.looks). What only stands beside has the seeds of the first look.

What is due next is a function of the ledger, whatever happened in between. One comparison carries the decision, with an
error of 5 % over all its looks; the others have 5 % together (raylab.verdict.holm).

Everything is read from and written to the ledger; what runs the recipes is a `Runner`, and this module does not know
where. A study that was stopped is conducted again from its ledger, and does only what is still due.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from raylab.data.prepared import Prepared
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.recipe import Recipe, decode, encode, run_key, stage_keys
from raylab.search.caps import EXPLORATION, SELECTION, VERDICT, Unlimited
from raylab.search.labels import label, without_stages
from raylab.search.learning import Lesson
from raylab.search.ledger import ENDED, Run, Study
from raylab.search.lineage import verdict_seeds
from raylab.search.space import Setting, Space
from raylab.seeds import Seeds
from raylab.verdict import looks, selection
from raylab.verdict.verdict import Arm, Role, conclude

SELECT_SPLITS = ("dev",)
CONFIRM_SPLITS = ("dev", "test")
ARMS = 4  # of a verdict at most: winner, baseline, best baseline found, no pretraining
RACE_FROM = 1000  # a race's seeds are replicates 1001, 1002, ...: the verdict's, 1, 2, ..., stay fresh
RUNGS = (0.25,)  # of a recipe's pretraining; the end is a rung, too


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What decides a study's results, as the ledger stores it. seeds: the most that winner and baseline get in the verdict."""

    space: str
    trials: int
    seed: int
    seeds: int
    metric: str
    scheduler: str
    setting: Setting
    sampler: str = "tpe"

    @property
    def rungs(self) -> tuple[float, ...]:
        return RUNGS if self.scheduler == "asha" else ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One run that is asked for. data: the folder of the prepared data that it reads, if they are not its study's.
    stages: the keys of its prefixes, by which lanes share them."""

    recipe: Recipe
    seeds: Seeds
    role: str
    replicate: int
    key: str
    label: str
    splits: tuple[str, ...] = SELECT_SPLITS
    rungs: tuple[float, ...] = ()
    trial: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    keep_model: bool = False
    until: float | None = None  # Unix time at which it is stopped
    data: Path | None = None
    stages: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """JSON values: what crosses to a lane."""
        return {**{k: getattr(self, k) for k in ("role", "replicate", "key", "label", "trial", "values", "keep_model", "until")},
                "recipe": encode(self.recipe), "seeds": encode(self.seeds), "splits": list(self.splits),
                "rungs": list(self.rungs), "stages": list(self.stages)}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """What a study is at. left: runs that have not ended, of this phase and those that are sure to come."""

    name: str
    done: int
    of: int
    left: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One arm of the verdict, before its runs."""

    label: str
    role: Role
    recipe: Recipe


class Runner(Protocol):
    """Where runs run. Both methods return when all is done and in the ledger."""

    def explore(self, conduct: "Conduct") -> None:
        """Let a sampler propose trials until the study has as many as it wants."""

    def run(self, requests: Sequence[Request]) -> None:
        """Run these, as far as they have not ended yet."""


class Conduct:
    """A study being conducted: its space, data and ledger in one place, and what it may still use."""

    def __init__(self, settings: Settings, space: Space, data: Prepared, study: Study) -> None:
        self.settings, self.space, self.data, self.study = settings, space, data, study
        self.allowance: Unlimited = Unlimited()
        self.lessons: tuple[Lesson, ...] = ()  # policies that are learned before the trials

    def starts(self) -> list[dict[str, Any]]:
        """What is tried before the sampler takes over, by its values: what earlier studies found best, then the space's own."""
        found = [choice for prior in self.study.priors for choice in prior["choices"]]
        own = (self.space.decode(start, self.settings.setting)[1] for start in self.space.starts(self.settings.setting))
        return [*found, *(start for start in own if start not in found)]

    def verdict_replicate(self, seed: int) -> int:
        """The replicate of the verdict's seeds 1, 2, ..., which no verdict before has used."""
        return verdict_seeds(self.study) + seed

    def explore_request(self, recipe: Recipe, values: dict[str, Any], trial: int) -> Request:
        """Replicate 0 of a proposed recipe."""
        name = label(encode(recipe), self._usual)
        return self._request(recipe, 0, "explore", name, SELECT_SPLITS, self.settings.rungs, trial, values)

    @cached_property
    def _usual(self) -> dict[str, Any]:
        """The recipe of all defaults: what a label need not say."""
        return dict(encode(self.space.decode({}, self.settings.setting)[0]))

    def objective(self, metrics: dict[str, float]) -> float:
        """What the search minimises: the metric on dev, turned round if higher is better; infinite if it is missing."""
        value = metrics.get(f"dev_{self.settings.metric}", math.inf)
        return -value if HIGHER_IS_BETTER[self.settings.metric] and math.isfinite(value) else value

    def explored(self) -> list[Run]:
        """Exploration's finished runs with a score, best on dev first."""
        finished = [
            r for r in self.study.of_role("explore") if r.state == "finished" and math.isfinite(self.objective(r.metrics))
        ]
        return sorted(finished, key=lambda run: self.objective(run.metrics))

    def still_due(self) -> int:
        """Trials that the ledger does not answer yet; if a cap has ended exploration, those at work."""
        explored = self.study.of_role("explore")
        if EXPLORATION in self.allowance.closed:
            return sum(run.state == "running" for run in explored)
        ended = sum(run.state in ENDED for run in explored)
        return max(0, self.settings.trials - ended - len(self.study.cached))

    def complete(self) -> bool:
        """Whether the ledger answers every run, so that only the verdict is to be drawn."""
        return not self.still_due() and not self.due()

    def due(self) -> list[Request]:
        """What is to run next, once exploration is over; nothing if the verdict can be drawn."""
        asked = [*self.race(), *self.confirmation()]
        due = [request for request in asked if not self._ended(request)]
        self.allowance.begin(due)
        return due

    def race(self) -> list[Request]:
        """Selection's runs as far as they are known now, round by round."""
        return self._race()[1]

    def confirmation(self) -> list[Request]:
        """The verdict's runs as far as they are known now, one seed of all arms before the next; none during the race."""
        losses, asked, _ = self._race()
        return self._confirmation()[0] if len(losses) and all(map(self._ended, asked)) else []

    def _confirmation(self) -> tuple[list[Request], str]:
        """The verdict's runs as far as they are known now, and may run; and why there are no more."""
        arms = self._arms()
        seeds, first = self._progress(arms).seeds, looks.planned(self.settings.seeds)[0]
        requests = [
            self._confirm_request(arm, seed)
            for seed in range(1, seeds + 1) for arm in arms if arm.role != "beside" or seed <= first
        ]  # fmt: skip
        asked = list({request.key: request for request in reversed(requests)}.values())[::-1]  # equal arms run once
        refusal = self.allowance.refusal([request for request in asked if not self._ended(request)], VERDICT)
        return ([request for request in asked if request.key in self.study.runs] if refusal else asked), refusal

    def phase(self) -> Phase:
        """Explore until no trial is due, let the best race, then confirm."""
        trials, due = self.settings.trials, self.still_due()
        if due or not self.explored():
            return Phase(name="Explore", done=trials - due, of=trials, left=due + self.fewest_runs())
        confirming = self.confirmation()
        asked = confirming or self.race()
        done = sum(map(self._ended, asked))
        ahead = 0 if confirming else self.fewest_runs()
        return Phase(name="Confirm" if confirming else "Select", done=done, of=len(asked), left=len(asked) - done + ahead)

    def fewest_runs(self, arms: int = ARMS) -> int:
        """Runs of a verdict of so many arms that is clear at its first look, after exploration with a clear leader."""
        return arms * looks.planned(self.settings.seeds)[0]

    def most_runs(self, arms: int = ARMS) -> int:
        """Runs of the longest race and the longest verdict of so many arms."""
        race = sum(min(cap, self.settings.trials) for cap in selection.CAPS) if self.settings.trials > 1 else 0
        return race + self.fewest_runs(arms) + 2 * (self.settings.seeds - looks.planned(self.settings.seeds)[0])

    def conclude(self) -> dict[str, Any]:
        """The verdict over the confirmation's runs, from the ledger."""
        prose = [not example.rendered for example in self.data.splits["test"]]
        metric, arms = self.settings.metric, self._arms()
        progress, (losses, _, _), explored = self._progress(arms), self._race(), self.explored()
        tied = dict.fromkeys(explored[c].label for c in selection.tied(losses) if explored[c].label != arms[0].label)
        verdict = conclude(
            [self._arm(arm, progress.seeds) for arm in arms], metric, HIGHER_IS_BETTER[metric], prose,
            confidence=progress.confidence, tied=list(tied),
        )  # fmt: skip
        return {**verdict, "most_seeds": self.settings.seeds, "looks": list(progress.looks)}

    def capped(self) -> dict[str, str]:
        """What caps ended early, and why, now that nothing is due."""
        closed = {**self.allowance.closed, SELECTION: self._race()[2]}
        if self.explored():
            closed[VERDICT] = self._confirmation()[1]
        return {phase: reason for phase, reason in closed.items() if reason}

    def _race(self) -> tuple[selection.Table, list[Request], str]:
        """The candidates' losses on dev by round, exploration first, and the runs asked for; the last round may be at work.
        Then why a round may not run, if a cap ends the race."""
        explored = self.explored()
        losses, asked = np.array([[self.objective(run.metrics)] for run in explored]), list[Request]()
        while len(losses) and (candidates := selection.due(losses)):
            requests = {c: self._race_request(explored[c], losses.shape[1]) for c in candidates}
            if refusal := self.allowance.refusal([r for r in requests.values() if not self._ended(r)], SELECTION):
                return losses, asked, refusal
            asked += requests.values()
            if not all(map(self._ended, requests.values())):
                break
            latest = [self._loss(requests[c]) if c in requests else math.nan for c in range(len(explored))]
            losses = np.column_stack([losses, latest])
        return losses, asked, ""

    def _loss(self, request: Request) -> float:
        """The objective of a run that ended; NaN if it gave none."""
        run = self.study.runs[request.key]
        loss = self.objective(run.metrics) if run.state == "finished" else math.nan
        return loss if math.isfinite(loss) else math.nan

    def _ended(self, request: Request) -> bool:
        return self.study.has_ended(request.key)

    def _arms(self) -> list["Contender"]:
        """The winner, the baseline that decides, and what stands beside them without decision: the best baseline that was found,
        or, where the baseline itself has won, the best of all others; and the winner without what the space is about."""
        explored = self.explored()
        chosen = explored[selection.order(self._race()[0])[0]]
        best = decode(Recipe, chosen.recipe)
        baseline, family = self.space.baseline_family, self.space.family
        equal = self.space.baseline(best, self.settings.setting)
        arms = [
            Contender(label=chosen.label, role="winner", recipe=best),
            Contender(label=f"{baseline}, all else equal", role="baseline", recipe=equal),
        ]
        recipes = [(run.label, decode(Recipe, run.recipe)) for run in explored]
        found = next((recipe for _, recipe in recipes if family(recipe) == baseline), None)
        if found not in (None, best, equal):
            arms.append(Contender(label=f"best {baseline} found", role="beside", recipe=found))
        if best == equal and (rival := next((pair for pair in recipes if family(pair[1]) != baseline), None)):
            arms.append(Contender(label=rival[0], role="beside", recipe=rival[1]))
        plain = self.space.plain(best)
        if plain not in (best, equal):
            arms.append(Contender(label=without_stages(encode(plain.base)), role="beside", recipe=plain))
        return arms

    def _progress(self, arms: Sequence["Contender"]) -> looks.Progress:
        """How far winner and baseline are. A winner that is the baseline itself takes the seeds of one look for its score."""
        most = self.settings.seeds
        winner, baseline, *_ = arms
        if winner.recipe == baseline.recipe:
            most = looks.planned(most)[0]
        pairs = ([self._confirm_request(arm, seed) for arm in (winner, baseline)] for seed in range(1, most + 1))
        ended = list(takewhile(lambda pair: all(map(self._ended, pair)), pairs))
        return looks.progress([self._scores(ours) for ours, _ in ended], [self._scores(theirs) for _, theirs in ended], most)

    def _arm(self, contender: "Contender", seeds: int) -> Arm:
        requests = [self._confirm_request(contender, seed) for seed in range(1, seeds + 1)]
        keys = [request.key for request in requests if request.key in self.study.runs]
        return Arm(label=contender.label, role=contender.role, keys=keys, scores=list(map(self._scores, requests)))

    def _scores(self, request: Request) -> Sequence[float] | None:
        """A run's scores on test, question by question; None if it did not run, did not finish, or gave what is no number."""
        run = self.study.runs.get(request.key)
        scores = run.scores.get("test", {}).get(self.settings.metric) if run and run.state == "finished" else None
        return scores if scores and all(map(math.isfinite, scores)) else None

    def _race_request(self, run: Run, number: int) -> Request:
        return self._request(decode(Recipe, run.recipe), RACE_FROM + number, "race", run.label, SELECT_SPLITS)

    def _confirm_request(self, contender: "Contender", seed: int) -> Request:
        role = "confirm" if contender.role == "winner" else "baseline"
        keep = contender.role == "winner" and seed == 1  # the first, not the best: it was not chosen by its score
        return self._request(
            contender.recipe, self.verdict_replicate(seed), role, contender.label, CONFIRM_SPLITS, keep=keep
        )  # fmt: skip

    def _request(
        self, recipe: Recipe, replicate: int, role: str, name: str, splits: tuple[str, ...],
        rungs: tuple[float, ...] = (), trial: int | None = None, values: dict[str, Any] | None = None, keep: bool = False,
    ) -> Request:  # fmt: skip
        seeds = Seeds.of(self.settings.seed, replicate)
        return Request(
            recipe=recipe, seeds=seeds, role=role, replicate=replicate, key=run_key(recipe, seeds, self.data.fingerprint),
            label=name, splits=splits, rungs=rungs, trial=trial, values=values or {}, keep_model=keep,
            until=self.allowance.until(role), stages=tuple(stage_keys(recipe, seeds, self.data.fingerprint)),
        )  # fmt: skip


def numbers_due(study: Study) -> Iterator[int]:
    """The numbers of the trials to propose: first those that have not ended, then those that no trial has yet. A driver
    that was killed may have left a gap."""
    explored = study.of_role("explore")
    taken = {run.trial for run in explored} | {row["trial"] for row in study.cached}
    left = [run.trial for run in explored if run.trial is not None and run.state not in ENDED]
    return itertools.chain(left, (number for number in itertools.count() if number not in taken))


def conduct(study: Conduct, runner: AbstractContextManager[Runner]) -> dict[str, Any] | None:
    """Explore, select and confirm what is still due, on a runner that is started only if anything is. Returns the verdict, or
    None if no trial finished."""
    if not study.complete():
        with runner as started:
            if study.still_due():
                started.explore(study)
            while requests := study.due():
                started.run(requests)
    return study.conclude() if study.explored() else None
