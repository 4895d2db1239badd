"""A study from its first trial to its verdict: explore, choose on dev, confirm on fresh seeds and test, conclude.

Everything is read from and written to the ledger; what runs the recipes is a `Runner`, and this module does not know
where. A study that was stopped is conducted again from its ledger, and does only what is still due.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from raylab.data.prepared import Prepared
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.recipe import Recipe, decode, encode, run_key
from raylab.search.labels import label
from raylab.search.ledger import ENDED, Run, Study
from raylab.search.space import Setting, Space
from raylab.seeds import Seeds
from raylab.verdict.verdict import Arm, Role, conclude

EXPLORE_SPLITS = ("dev",)
CONFIRM_SPLITS = ("dev", "test")
RUNGS = (0.25,)  # of a recipe's pretraining; the end is a rung, too


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What decides a study's results, as the ledger stores it."""

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
    """One run that is asked for."""

    recipe: Recipe
    seeds: Seeds
    role: str
    replicate: int
    key: str
    label: str
    splits: tuple[str, ...] = EXPLORE_SPLITS
    rungs: tuple[float, ...] = ()
    trial: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    keep_model: bool = False

    def plain(self) -> dict[str, Any]:
        """JSON values: what crosses to a lane."""
        return {**{k: getattr(self, k) for k in ("role", "replicate", "key", "label", "trial", "values", "keep_model")},
                "recipe": encode(self.recipe), "seeds": encode(self.seeds), "splits": list(self.splits),
                "rungs": list(self.rungs)}  # fmt: skip


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
    """A study being conducted: its space, data and ledger in one place."""

    def __init__(self, settings: Settings, space: Space, data: Prepared, study: Study) -> None:
        self.settings, self.space, self.data, self.study = settings, space, data, study

    def explore_request(self, recipe: Recipe, values: dict[str, Any], trial: int) -> Request:
        """Replicate 0 of a proposed recipe."""
        return self._request(recipe, 0, "explore", label(encode(recipe)), EXPLORE_SPLITS, self.settings.rungs, trial, values)

    def objective(self, metrics: dict[str, float]) -> float:
        """What the search minimises: the metric on dev, turned round if higher is better; infinite if it is missing."""
        value = metrics.get(f"dev_{self.settings.metric}", math.inf)
        return -value if HIGHER_IS_BETTER[self.settings.metric] and math.isfinite(value) else value

    def explored(self) -> list[Run]:
        """Exploration's finished runs, best on dev first."""
        finished = [r for r in self.study.of_role("explore") if r.state == "finished"]
        return sorted(finished, key=lambda run: self.objective(run.metrics))

    def still_due(self) -> int:
        """Trials that the ledger does not answer yet."""
        ended = sum(run.state in ENDED for run in self.study.of_role("explore"))
        return max(0, self.settings.trials - ended - len(self.study.cached))

    def complete(self) -> bool:
        """Whether the ledger answers every run, so that only the verdict is to be drawn."""
        if self.still_due() or not self.explored():
            return not self.still_due()
        runs = self.study.runs
        return all(request.key in runs and runs[request.key].state in ENDED for request in self.confirmation())

    def confirmation(self) -> list[Request]:
        """The winner and what it is compared with, on fresh paired seeds; one seed of all arms before the next."""
        replicates = range(1, self.settings.seeds + 1)
        requests = [self._confirm_request(arm, replicate) for replicate in replicates for arm in self._arms()]
        return list({request.key: request for request in reversed(requests)}.values())[::-1]  # equal arms run once

    def conclude(self) -> dict[str, Any]:
        """The verdict over the confirmation's runs, from the ledger."""
        prose = [not example.rendered for example in self.data.splits["test"]]
        metric = self.settings.metric
        return conclude([self._arm(c) for c in self._arms()], metric, HIGHER_IS_BETTER[metric], prose)

    def _arms(self) -> list["Contender"]:
        """The winner, the baseline that decides, and what stands beside them without decision."""
        explored = self.explored()
        best = decode(Recipe, explored[0].recipe)
        baseline, family = self.space.baseline_family, self.space.family
        equal = self.space.baseline(best, self.settings.setting)
        arms = [
            Contender(label=explored[0].label, role="winner", recipe=best),
            Contender(label=f"{baseline}, all else equal", role="baseline", recipe=equal),
        ]
        found = next((decode(Recipe, r.recipe) for r in explored if family(decode(Recipe, r.recipe)) == baseline), None)
        if found not in (None, best, equal):
            arms.append(Contender(label=f"best {baseline} found", role="beside", recipe=found))
        return [*arms, Contender(label="no intermediate pretraining", role="beside", recipe=self.space.plain(best))]

    def _arm(self, contender: "Contender") -> Arm:
        keys = [self._confirm_request(contender, r).key for r in range(1, self.settings.seeds + 1)]
        ended = [self.study.runs.get(key) for key in keys]
        scores = [run.scores["test"][self.settings.metric] if run and run.state == "finished" else None for run in ended]
        return Arm(label=contender.label, role=contender.role, keys=keys, scores=scores)

    def _confirm_request(self, contender: "Contender", replicate: int) -> Request:
        role = "confirm" if contender.role == "winner" else "baseline"
        keep = contender.role == "winner" and replicate == 1  # the first, not the best: it was not chosen by its score
        return self._request(contender.recipe, replicate, role, contender.label, CONFIRM_SPLITS, keep=keep)

    def _request(
        self, recipe: Recipe, replicate: int, role: str, name: str, splits: tuple[str, ...],
        rungs: tuple[float, ...] = (), trial: int | None = None, values: dict[str, Any] | None = None, keep: bool = False,
    ) -> Request:  # fmt: skip
        seeds = Seeds.of(self.settings.seed, replicate)
        return Request(
            recipe=recipe, seeds=seeds, role=role, replicate=replicate, key=run_key(recipe, seeds, self.data.fingerprint),
            label=name, splits=splits, rungs=rungs, trial=trial, values=values or {}, keep_model=keep,
        )  # fmt: skip


def conduct(study: Conduct, runner: AbstractContextManager[Runner]) -> dict[str, Any] | None:
    """Explore and confirm what is still due, on a runner that is started only if anything is. Returns the verdict, or
    None if no trial finished."""
    if not study.complete():
        with runner as started:
            if study.still_due():
                started.explore(study)
            if study.explored():
                started.run(study.confirmation())
    return study.conclude() if study.explored() else None
