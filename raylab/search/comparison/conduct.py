"""A comparison from its first run to its table. What is due next is a function of the ledger, as for a search.

choose     where an arm is a grid, all of its recipes once, replicate 0, on dev.
compare    every arm of every case, replicates 1, 2, ..., on test; all arms of a case share each seed.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from raylab.data.family import family_of
from raylab.data.prepared import Prepared
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.data.source import DataRequest
from raylab.data.task import TaskData
from raylab.errors import UserError, unknown
from raylab.recipe import Recipe, encode, run_key, stage_keys
from raylab.search.comparison.declared import Arm, Asked, At, Case, Comparison, Grid, Prepare
from raylab.search.labels import label
from raylab.search.ledger import Run, Study
from raylab.search.reading import tokens
from raylab.search.study import CONFIRM_SPLITS, SELECT_SPLITS, Phase, Request, Runner
from raylab.seeds import Seeds

CHOOSE, COMPARE = "choose", "compare"  # roles of runs
CHOOSING, COMPARING = "Choose", "Compare"  # phases


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """An arm of a case with one seed, and the data that it reads."""

    recipes: tuple[Recipe, ...]  # one, or those of a grid
    request: DataRequest


class Comparing:
    """A comparison being conducted: its declaration, data and ledger in one place."""

    def __init__(
        self, comparison: Comparison, asked: Asked, study: Study, *, seed: int, seeds: int, prepare: Prepare, storage: Path,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        self.comparison, self.asked, self.study = comparison, asked, study
        self.seed, self.seeds, self.storage = seed, seeds, storage
        self._prepare, self._tell = prepare, tell
        self._placed: dict[tuple[str, int], dict[str, Placed]] = {}
        self._requests: dict[tuple[str, str, int, int], Request] = {}
        self.cases = tuple(comparison.cases(asked))
        self._check_cases()

    # --- what is compared ---------------------------------------------------------------------------------------

    def labels(self, case: Case) -> list[str]:
        """The arms of a case, in the order of its file."""
        return list(self.placed(case, 1))

    def placed(self, case: Case, replicate: int) -> dict[str, Placed]:
        """The arms of a case with one seed; what they need that is learned is learned now. Raises UserError for arms that do
        not fit together."""
        key = (case.name, replicate)
        if key not in self._placed:
            at = At(
                case=case, replicate=replicate, seeds=self.seeds_of(replicate), asked=self.asked, storage=self.storage,
                prepare=self._prepare, tell=self._tell,
            )  # fmt: skip
            self._placed[key] = {name: _placed(arm, case) for name, arm in self.comparison.arms(at).items()}
            self._check_arms(case, self._placed[key])
        return self._placed[key]

    def seeds_of(self, replicate: int) -> Seeds:
        """The seeds that all arms of all cases share."""
        return Seeds.of(self.seed, replicate)

    def task(self, case: Case) -> TaskData:
        """The data of a case as loaded."""
        return self._prepare(case, case.data, case.base or self.asked.base)[0]

    def metric(self, case: Case) -> str:
        """The measure that compares the arms of a case."""
        return case.metric or next(iter(family_of(self.task(case).family).measures))

    def data(self, case: Case, placed: Placed, recipe: Recipe) -> Prepared:
        """What a run reads: ready for its base model, with the annotations that its policies ask for."""
        prepared = self._prepare(case, placed.request, recipe.base)[1]
        for stage in recipe.stages:
            for annotation in stage.policy.needs() if hasattr(stage, "policy") else ():
                prepared.corpus.annotate(annotation)
        return prepared

    # --- what is due --------------------------------------------------------------------------------------------

    def due(self) -> list[Request]:
        """What is to run next; nothing if the table can be drawn."""
        choosing = [request for request in self.choosing() if not self._ended(request)]
        return choosing or [request for request in self.comparing() if not self._ended(request)]

    def choosing(self) -> list[Request]:
        """The runs that grids are chosen by."""
        return _once(
            self._request(case, name, 0, number)
            for case in self.cases if self._has_grid(case)
            for name, placed in self.placed(case, 0).items() if len(placed.recipes) > 1
            for number in range(len(placed.recipes))
        )  # fmt: skip

    def comparing(self) -> list[Request]:
        """The runs that are compared, one seed of all arms before the next."""
        return _once(
            self.request(case, name, replicate)
            for replicate in range(1, self.seeds + 1) for case in self.cases for name in self.labels(case)
        )  # fmt: skip

    def request(self, case: Case, name: str, replicate: int) -> Request:
        """The run of an arm with a seed, once its grid, if it is one, has been chosen from."""
        return self._request(case, name, replicate, self.chosen(case, name))

    def chosen(self, case: Case, name: str) -> int:
        """Which recipe of a grid is the arm: the best on dev; the first where none finished."""
        recipes = self.placed(case, 1)[name].recipes
        if len(recipes) == 1:
            return 0
        keys = [self._request(case, name, 0, number).key for number in range(len(recipes))]
        losses = [_loss(self.study.runs.get(key), self.metric(case)) for key in keys]
        return losses.index(min(losses))

    def phase(self) -> Phase:
        """How far it is."""
        choosing = self.choosing()
        done, runs = self._done(choosing), self.seeds * sum(len(self.labels(case)) for case in self.cases)
        if done < len(choosing):
            return Phase(name=CHOOSING, done=done, of=len(choosing), left=len(choosing) - done + runs)
        asked = self.comparing()
        done = self._done(asked)
        return Phase(name=COMPARING, done=done, of=len(asked), left=len(asked) - done)

    def scores(self, case: Case, name: str, metric: str = "") -> list[Sequence[float] | None]:
        """Of an arm, by seed: a score of each test example, or None where that run did not finish with finite ones."""
        return [_scores(self.study.runs.get(key), metric or self.metric(case)) for key in self._keys(case, name)]

    def ran(self, case: Case, name: str) -> list[Run]:
        """The runs of an arm that were asked for so far, by seed."""
        return [self.study.runs[key] for key in self._keys(case, name) if key in self.study.runs]

    def folders(self) -> list[Path]:
        """The prepared data that runs read, the first case's first."""
        return list(dict.fromkeys(request.data for request in (*self.choosing(), *self.comparing()) if request.data))

    def _keys(self, case: Case, name: str) -> list[str]:
        return [self.request(case, name, replicate).key for replicate in range(1, self.seeds + 1)]

    def _request(self, case: Case, name: str, replicate: int, number: int) -> Request:
        """The run of an arm's recipe of that number; made once, as the display asks for it a few times a second."""
        index = (case.name, name, replicate, number)
        if index not in self._requests:
            self._requests[index] = self._made(case, name, replicate, number)
        return self._requests[index]

    def _made(self, case: Case, name: str, replicate: int, number: int) -> Request:
        placed = self.placed(case, replicate)[name]
        recipe, seeds = placed.recipes[number], self.seeds_of(replicate)
        data = self.data(case, placed, recipe)
        return Request(
            recipe=recipe, seeds=seeds, role=COMPARE if replicate else CHOOSE, replicate=replicate,
            key=run_key(recipe, seeds, data.fingerprint), label=f"{case.name}: {name}",
            splits=CONFIRM_SPLITS if replicate else SELECT_SPLITS, values={"case": case.name, "arm": name}, data=data.folder,
            stages=tuple(stage_keys(recipe, seeds, data.fingerprint)),
        )  # fmt: skip

    def _ended(self, request: Request) -> bool:
        return self.study.has_ended(request.key)

    def _done(self, requests: Sequence[Request]) -> int:
        return sum(map(self._ended, requests))

    def _has_grid(self, case: Case) -> bool:
        return any(len(placed.recipes) > 1 for placed in self.placed(case, 1).values())

    # --- checks -------------------------------------------------------------------------------------------------

    def _check_cases(self) -> None:
        names = [case.name for case in self.cases]
        if not names:
            raise UserError(f"{self.comparison.path.name} gives no case for these options, so there is nothing to compare.")
        if twice := {name for name in names if names.count(name) > 1}:
            raise UserError(f"{self.comparison.path.name} gives two cases the name {min(twice)!r}; each needs its own.")
        for case in self.cases:
            measures = family_of(self.task(case).family).measures
            if case.metric and case.metric not in measures:
                raise unknown(f"measure of the case {case.name}", case.metric, measures)

    def _check_arms(self, case: Case, placed: Mapping[str, Placed]) -> None:
        file = self.comparison.path.name
        if self.comparison.reference not in placed:
            raise unknown(f"reference arm of {file}", self.comparison.reference, placed)
        first = self._placed.get((case.name, 1), placed)
        if list(first) != list(placed):
            raise UserError(f"{file} gives {case.name} other arms with another seed: {', '.join(placed)}; {', '.join(first)}.")
        data = {name: self.data(case, arm, arm.recipes[0]) for name, arm in placed.items()}
        for name, arm in placed.items():
            tokens(arm.recipes[0], self.seeds_of(1), data[name])  # one that cannot be read is told now
        examples = {_examples(data[name]): name for name in placed}
        if len(examples) > 1:
            a, b, *_ = examples.values()
            raise UserError(
                f"{file}: the arms {a} and {b} of {case.name} are not scored on the same test examples, so they cannot be "
                "compared in pairs. Give them data with the same ones; a corpus decides them unless answerable_only is False."
            )


def conduct(comparing: Comparing, runner: AbstractContextManager[Runner]) -> None:
    """Run what is still due, on a runner that is started only if anything is."""
    if comparing.due():
        with runner as started:
            while requests := comparing.due():
                started.run(requests)


def chosen_recipe(comparing: Comparing, case: Case, name: str) -> str:
    """What an arm runs, in a few words, with the first seed."""
    return label(encode(comparing.request(case, name, 1).recipe))


def _placed(arm: Recipe | Grid | Arm, case: Case) -> Placed:
    recipe, request = (arm.recipe, arm.data) if isinstance(arm, Arm) else (arm, case.data)
    return Placed(recipes=recipe.recipes if isinstance(recipe, Grid) else (recipe,), request=request)


def _once(requests: Iterator[Request]) -> list[Request]:
    """Equal runs once, the first of them."""
    found: dict[str, Request] = {}
    for request in requests:
        found.setdefault(request.key, request)
    return list(found.values())


def _loss(run: Run | None, metric: str) -> float:
    value = run.metrics.get(f"dev_{metric}", math.inf) if run and run.state == "finished" else math.inf
    return -value if HIGHER_IS_BETTER[metric] and math.isfinite(value) else value


def _scores(run: Run | None, metric: str) -> Sequence[float] | None:
    scores = run.scores.get("test", {}).get(metric) if run and run.state == "finished" else None
    return scores if scores and all(map(math.isfinite, scores)) else None


@functools.lru_cache(maxsize=64)
def _examples_of(folder: Path) -> tuple[str, ...]:
    return tuple(example.id for example in Prepared(folder).splits["test"])


def _examples(data: Prepared) -> tuple[str, ...]:
    return _examples_of(data.folder)
