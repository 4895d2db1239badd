"""What a study's runs will read, before they run: exact for a recipe that is known, bounds for one that is not.

Corpus tokens follow from a recipe, its seeds and the order of the rows; nothing has to be trained for them. Of a recipe
that a sampler has yet to propose, the space's extremes are known: many draws in which every number lies at one of its
ends or between them. What depends on a number in one direction, as a budget does, is bounded by its ends.

Runs that begin with the same stages share the model after these (raylab.training.stage_cache), and read for it once.
"""

import random
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from raylab.data.prepared import Prepared
from raylab.recipe import ModelSpec, Recipe, Stage, run_key, stage_keys
from raylab.search.space import Chooser, Domain, Setting, Space
from raylab.seeds import Seeds
from raylab.training.context import Context

DRAWS = 400  # of a space with sixteen ways to read, one is missed once in 10^11
FEW = 16  # ways to begin a recipe, at most, for all of them to be known


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """At least `low` and at most `high`; both the same where it is known exactly."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: "Bounds") -> "Bounds":
        return Bounds(low=self.low + other.low, high=self.high + other.high)

    def times(self, fewest: float, most: float | None = None) -> "Bounds":
        """So many of it."""
        return Bounds(low=self.low * fewest, high=self.high * (fewest if most is None else most))

    @classmethod
    def exactly(cls, value: float) -> "Bounds":
        """Known."""
        return cls(low=value, high=value)

    @classmethod
    def of(cls, values: Iterable[float]) -> "Bounds":
        """The smallest and the largest of some values; nothing if there are none."""
        found = list(values)
        return cls(low=min(found, default=0), high=max(found, default=0))


NOTHING = Bounds()


def total(bounds: Iterable[Bounds]) -> Bounds:
    """The sum."""
    return sum(bounds, NOTHING)


def tokens(recipe: Recipe, seeds: Seeds, data: Prepared, rung: float | None = None) -> int:
    """The corpus tokens that a run reads, or those until it stops at a rung."""
    by_stage = _by_stage(recipe, seeds, data)
    if rung is not None and recipe.stages:
        first = by_stage[0]
        return sum(first[: max(1, round(rung * len(first)))])
    return sum(map(sum, by_stage))


def tokens_apart(recipes: Iterable[Recipe], seeds: Seeds, data: Prepared, held: Container[str] = frozenset()) -> int:
    """The corpus tokens that runs of these recipes read, where those that begin alike share what they begin with. held: the
    stage keys of models that nobody need train any more."""
    return sum({key: read for recipe in recipes for key, read in by_prefix(recipe, seeds, data, held)}.values())


def by_prefix(recipe: Recipe, seeds: Seeds, data: Prepared, held: Container[str] = frozenset()) -> Iterator[tuple[str, int]]:
    """What a run reads of the corpus by itself, stage by stage, each with the stage key of the model after it; what lies before
    the last model that is held is not read."""
    keys = stage_keys(recipe, seeds, data.fingerprint)
    first = max((n for n, key in enumerate(keys, start=1) if key in held), default=0)
    by_stage = _by_stage(recipe, seeds, data)
    yield from ((keys[n], sum(by_stage[n])) for n in range(first, len(keys)))
    if read := sum(by_stage[-1]):
        yield run_key(recipe, seeds, data.fingerprint), read  # its finetuning is its own


def _by_stage(recipe: Recipe, seeds: Seeds, data: Prepared) -> list[Sequence[int]]:
    context = Context(data=data, seeds=seeds)
    return [stage.reads(context) for stage in (*recipe.stages, recipe.finetune)]


def check_readable(space: Space, setting: Setting, seeds: Seeds, data: Prepared) -> None:
    """Raise UserError where what a search starts with cannot read the data: a corpus smaller than a batch."""
    for start in space.starts(setting):
        tokens(space.decode(start, setting)[0], seeds, data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Extremes:
    """Recipes at the ends of a space. endless: two proposals are never equal, as some choice is a number. repeats: two proposals
    may begin with the same stages. beginnings: a recipe of each way to begin, if they are few; else none is known."""

    recipes: Sequence[Recipe]
    endless: bool
    repeats: bool
    beginnings: Sequence[Recipe]

    def tokens(self, seeds: Seeds, data: Prepared, rung: float | None = None) -> Bounds:
        """What a run of any recipe of the space reads with these seeds."""
        return Bounds.of(tokens(recipe, seeds, data, rung) for recipe in self.recipes)


def extremes(space: Space, setting: Setting) -> Extremes:
    """Draws from a space, of which every number is at an end or between."""
    draws = [_Draw(setting, number) for number in range(DRAWS)]
    recipes = [space.recipe(draw, setting) for draw in draws]
    endless = all(any(not d.options and not d.integer for n, d in draw.domains.items() if n in draw.values) for draw in draws)
    same = [_beginning(recipe) == _beginning(_moved(draw, space, setting)) for draw, recipe in zip(draws, recipes, strict=True)]
    beginnings = {_beginning(recipe): recipe for recipe in recipes}
    known = all(same) and len(beginnings) <= FEW
    return Extremes(
        recipes=recipes, endless=endless, repeats=any(same), beginnings=tuple(beginnings.values()) if known else ()
    )  # fmt: skip


def _beginning(recipe: Recipe) -> tuple[ModelSpec, tuple[Stage, ...]]:
    """What recipes share that begin alike."""
    return recipe.base, recipe.stages


def _moved(draw: "_Draw", space: Space, setting: Setting) -> Recipe:
    """The recipe of a draw, but for its numbers, which are others."""
    numbers = {name for name, domain in draw.domains.items() if not domain.options and not domain.integer}
    moved = {name: _between(draw.domains[name], value) if name in numbers else value for name, value in draw.values.items()}
    return space.decode(moved, setting)[0]


def _between(domain: Domain, value: float) -> float:
    """A number of the domain that is another one."""
    return next(number for share in (0.3, 0.6) if (number := domain.low + share * (domain.high - domain.low)) != value)


class _Draw(Chooser):
    def __init__(self, setting: Setting, number: int) -> None:
        super().__init__(setting.fixed)
        self._random = random.Random(number)

    def draw(self, name: str, domain: Domain) -> object:
        if domain.options:
            return self._random.choice(domain.options)
        value = self._random.choice((domain.low, domain.high, self._random.uniform(domain.low, domain.high)))
        return round(value) if domain.integer else value
