"""Searches for a mixture of the planted tasks, by a study's own exploration, race and verdict: over the table, or for real."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from raylab.bench._mixtures import planted
from raylab.bench._mixtures.recorded import METRIC, SIMPLEX, Recorded, trained
from raylab.data.prepared import Prepared
from raylab.recipe import ModelSpec, Recipe, decode
from raylab.search.ledger import Ledger, Run, Study
from raylab.search.simulated import Course, Proposer, SimulatedRunner, VirtualClock
from raylab.search.space import Chooser, Setting, Space
from raylab.search.study import Conduct, Request, Settings, conduct
from raylab.seeds import derive
from raylab.stages.pre_finetune import PreFinetune

GOOD = 0.02  # of the recorded mixtures
SETTING = Setting(task=planted.TARGET, base=ModelSpec(), policies=(), budget_tokens=0, finetune_steps=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Real:
    """A search that trained. weights: of the mixture that won. verdicts: against every other mixture, by its name."""

    weights: Mapping[str, float]
    verdicts: Mapping[str, Mapping[str, Any]]


def trials_until_good(sampler: str, seed: int, most: int, table: Recorded, data: Prepared) -> int:
    """How many trials a search over the table takes until one is good; one more than `most` if none is. data: of no meaning."""
    settings = _settings(sampler, seed, most)
    with _study(data, partial(_answered, table=table), partial(_UntilGood, table=table)) as (study, runner):
        runner.explore(Conduct(settings, _space(planted.BY_SIZE), data, study))
    tried = study.of_role("explore")
    return len(tried) if any(_good(run, table) for run in tried) else most + 1


def really(sampler: str, seed: int, trials: int, data: Prepared) -> Real:
    """A search that trains, with a verdict against proportions by size, and then one against even ones: on the same runs of
    the winner, as far as both need them."""
    settings = replace(_settings(sampler, seed, trials), seeds=10)
    against = {"by size": planted.BY_SIZE, "even": planted.ALIKE}
    with _study(data, partial(_trained, data=data), _sampled) as (study, runner):
        verdicts = {
            name: conduct(Conduct(settings, _space(weights, name), data, study), contextlib.nullcontext(runner))
            for name, weights in against.items()
        }
    winner = decode(Recipe, study.of_role("confirm")[0].recipe)
    return Real(weights=weights_of(winner), verdicts={name: verdict or {} for name, verdict in verdicts.items()})


def weights_of(recipe: Recipe) -> dict[str, float]:
    """Of all sources, 0 of one that is left out."""
    (stage,) = recipe.stages
    assert isinstance(stage, PreFinetune)
    return dict.fromkeys(planted.SOURCES, 0.0) | dict(zip(stage.tasks, stage.weights, strict=True))


def _settings(sampler: str, seed: int, trials: int) -> Settings:
    return Settings(
        space="planted", trials=trials, seed=seed, seeds=2, metric=METRIC, scheduler="none", setting=SETTING, sampler=sampler
    )


@contextlib.contextmanager
def _study(
    data: Prepared, course: Callable[[Request], Course], proposer: Callable[[Conduct], Proposer]
) -> Iterator[tuple[Study, SimulatedRunner]]:
    """A new study, and a runner on one lane of a virtual clock."""
    clock = VirtualClock()
    with (
        tempfile.TemporaryDirectory(prefix="raylab-mixtures-") as folder,
        contextlib.closing(Ledger(Path(folder), clock)) as ledger,
    ):
        study = Study.of([ledger.append("study", name="planted", settings={}, data={}, environment={})])
        yield study, SimulatedRunner(ledger, study, clock, course, proposer=proposer)


def _space(baseline: Mapping[str, float], name: str = "by size") -> Space:
    """All mixtures of the sources. baseline: the one that the verdict is against, by its name."""
    known = planted.recipe(baseline)
    return Space(
        name="planted", path=Path(__file__), baseline_family=name, recipe=_drawn,
        family=lambda recipe: name if recipe == known else "given", baseline=lambda recipe, setting: known,
        plain=lambda recipe: planted.recipe(None), starts=lambda setting: [],
    )  # fmt: skip


def _drawn(choose: Chooser, setting: Setting) -> Recipe:
    return planted.recipe(choose.simplex(SIMPLEX))


def _sampled(conduct: Conduct) -> Proposer:
    from raylab.cluster.simulation import SampledTrials  # Ray takes seconds to import

    return SampledTrials(conduct)


class _UntilGood:
    """The sampler of a study, until one of its trials is good."""

    def __init__(self, conduct: Conduct, table: Recorded) -> None:
        self._trials, self._table, self._found = _sampled(conduct), table, False

    def ask(self) -> Request | None:
        """The next trial, or None if a good one was found."""
        return None if self._found else self._trials.ask()

    def tell(self, request: Request, run: Run) -> None:
        """How it ended."""
        self._found = self._found or _good(run, self._table)
        self._trials.tell(request, run)


def _good(run: Run, table: Recorded) -> bool:
    """Whether the mixture that stands for a run's is among the best of the table."""
    return bool(table.means[_place(decode(Recipe, run.recipe), table)] <= np.quantile(table.means, GOOD))


def _place(recipe: Recipe, table: Recorded) -> int:
    return table.nearest(list(weights_of(recipe).values()))


def _answered(request: Request, table: Recorded) -> Course:
    losses = table.losses_MR[_place(request.recipe, table)]
    return Course(metrics={f"dev_{METRIC}": float(losses[derive(request.seeds.init, request.key) % len(losses)])})


def _trained(request: Request, data: Prepared) -> Course:
    result = trained(request.recipe, data, request.seeds, request.splits)
    return Course(seconds=result.seconds["total"], metrics=result.metrics, scores=result.scores)
