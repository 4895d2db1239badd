"""A study over a table: raylab's own exploration, race and verdict on a simulated runner.

The table's space has no baseline, so that the verdict is the winner's score on fresh seeds: what a search reports. Trials are
as many as leave room for the longest race and for those seeds.
"""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raylab.bench._tables.table import Table
from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.recipe import ModelSpec, Recipe, Stage, decode
from raylab.registry import add_plugins
from raylab.search.ledger import Ledger, Study
from raylab.search.simulated import Course, SimulatedRunner, VirtualClock
from raylab.search.space import Chooser, Setting, Space
from raylab.search.study import Conduct, Request, Settings, conduct
from raylab.seeds import derive
from raylab.verdict import looks, selection

METRIC = "bits_per_answer"  # a table's loss stands in its place
SEEDS = 3  # for the report
BUDGET = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search recommends: its true loss, and the loss that the search reports of it. runs: of all kinds."""

    true: float
    reported: float
    runs: int


def trials_of(budget: int) -> int:
    """Trials of a study of at most so many runs."""
    trials = budget - sum(selection.CAPS) - looks.planned(SEEDS)[0]
    if trials < 2:
        raise UserError(f"--budget is {budget}; expected at least {budget - trials + 2}: a race, fresh seeds, and two trials.")
    return trials


def space_of(table: Table) -> Space:
    """A table as a space: numbers in their order, the rest as options."""

    stage = Stage.registry.get("entry")

    def recipe(choose: Chooser, setting: Setting) -> Recipe:
        position = tuple(
            choose.integer(f"choice{i}", 0, size - 1, default=0) if ordered
            else choose.option(f"choice{i}", tuple(range(size)))
            for i, (size, ordered) in enumerate(zip(table.sizes, table.ordered, strict=True))
        )  # fmt: skip
        return Recipe(
            base=ModelSpec(), stages=(stage(position=position),), task=table.name, finetune=stage(position=())
        )  # fmt: skip

    return Space(
        name=table.name, path=Path(table.name), baseline_family="none", recipe=recipe, family=lambda recipe: "table",
        baseline=lambda recipe, setting: recipe, plain=lambda recipe: recipe, starts=lambda setting: [],
    )  # fmt: skip


def searched(table: Table, data: Prepared, seed: int, *, sampler: str, budget: int = BUDGET, lanes: int = 1) -> Found:
    """One study, from its first trial to its verdict. data: of no meaning, but a study has some."""
    from raylab.cluster.simulation import SampledTrials  # Ray takes seconds to import

    add_plugins(Path(__file__).parent)
    setting = Setting(task=table.name, base=ModelSpec(), policies=(), budget_tokens=0, finetune_steps=0)
    settings = Settings(
        space=table.name, trials=trials_of(budget), seed=seed, seeds=SEEDS, metric=METRIC, scheduler="none", setting=setting,
        sampler=sampler,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="raylab-table-") as folder:
        clock = VirtualClock()
        with contextlib.closing(Ledger(Path(folder), clock)) as ledger:
            study = Study.of([ledger.append("study", name=table.name, settings={}, data={}, environment={})])
            runner = SimulatedRunner(ledger, study, clock, _course(table), proposer=SampledTrials, lanes=lanes)
            verdict = conduct(Conduct(settings, space_of(table), data, study), contextlib.nullcontext(runner))
    assert verdict is not None
    winner = study.of_role("confirm")[0]
    return Found(
        true=table.true(_position(decode(Recipe, winner.recipe))), reported=float(verdict["score"]), runs=len(study.runs)
    )


def _course(table: Table) -> Callable[[Request], Course]:
    def course(request: Request) -> Course:
        # by run: what a seed does to all configurations alike is not shared, as tables do not tell which seeds were the same
        loss = table.drawn(_position(request.recipe), derive(request.seeds.init, *_position(request.recipe)))
        scores = {METRIC: [loss]}
        return Course(
            metrics={f"{split}_{METRIC}": loss for split in request.splits}, scores=dict.fromkeys(request.splits, scores)
        )  # fmt: skip

    return course


def _position(recipe: Recipe) -> tuple[int, ...]:
    stage = recipe.stages[0]
    position: tuple[int, ...] = stage.position  # type: ignore[attr-defined]
    return position
