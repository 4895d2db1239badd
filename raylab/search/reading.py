"""What a study's runs will read, before they run: exact for a recipe that is known, bounds for one that is not.

Corpus tokens follow from a recipe, its seeds and the order of the rows; nothing has to be trained for them. Of a recipe
that a sampler has yet to propose, the space's extremes are known: many draws in which every number lies at one of its
ends or between them. What depends on a number in one direction, as a budget does, is bounded by its ends.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raylab.data.prepared import Prepared
from raylab.recipe import Recipe
from raylab.search.space import Chooser, Domain, Setting, Space
from raylab.seeds import Seeds
from raylab.training.context import Context

DRAWS = 400  # of a space with sixteen ways to read, one is missed once in 10^11


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
    context = Context(data=data, seeds=seeds)
    by_stage = [stage.reads(context) for stage in (*recipe.stages, recipe.finetune)]
    if rung is not None and recipe.stages:
        first = by_stage[0]
        return sum(first[: max(1, round(rung * len(first)))])
    return sum(map(sum, by_stage))


@dataclass(frozen=True, kw_only=True, slots=True)
class Extremes:
    """Recipes at the ends of a space. endless: two proposals are never equal, as some choice is a number."""

    recipes: Sequence[Recipe]
    endless: bool

    def tokens(self, seeds: Seeds, data: Prepared, rung: float | None = None) -> Bounds:
        """What a run of any recipe of the space reads with these seeds."""
        return Bounds.of(tokens(recipe, seeds, data, rung) for recipe in self.recipes)


def extremes(space: Space, setting: Setting) -> Extremes:
    """Draws from a space, of which every number is at an end or between."""
    draws = [_Draw(setting, number) for number in range(DRAWS)]
    recipes = [space.recipe(draw, setting) for draw in draws]
    endless = all(any(not d.options and not d.integer for n, d in draw.domains.items() if n in draw.values) for draw in draws)
    return Extremes(recipes=recipes, endless=endless)


class _Draw(Chooser):
    def __init__(self, setting: Setting, number: int) -> None:
        super().__init__(setting.fixed)
        self._random = random.Random(number)

    def draw(self, name: str, domain: Domain) -> object:
        if domain.options:
            return self._random.choice(domain.options)
        value = self._random.choice((domain.low, domain.high, self._random.uniform(domain.low, domain.high)))
        return round(value) if domain.integer else value
