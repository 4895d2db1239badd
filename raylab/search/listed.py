"""A space as a list: which recipe is number n follows from the study's seed and n alone, whatever happened before.

The space's starts come first, then draws; each choice is drawn by its own name, so that one more choice in a space, or one
fixed by `--set`, leaves the others as they were.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from raylab.recipe import Recipe
from raylab.search.scale import at
from raylab.search.space import Chooser, Domain, Setting, Space
from raylab.seeds import derive


def listed(
    space: Space, setting: Setting, seed: int, number: int, starts: Iterable[Mapping[str, Any]] | None = None
) -> tuple[Recipe, dict[str, Any]]:
    """Recipe `number` (from 0) of the list, and the values it was made of. starts: in the place of the space's own."""
    first: list[dict[str, Any]] = []
    for start in space.starts(setting) if starts is None else starts:
        values = space.decode(start, setting)[1]
        if values not in first:  # what tells two starts apart may be fixed
            first.append(values)
    if number < len(first):
        return space.decode(first[number], setting)[0], first[number]
    draw = _Draw(setting, seed, number)
    return space.recipe(draw, setting), draw.values


class _Draw(Chooser):
    """Draws evenly, on a logarithmic scale where the domain has one."""

    def __init__(self, setting: Setting, seed: int, recipe: int) -> None:
        super().__init__(setting.fixed)
        self._path = (seed, "list", recipe)

    def draw(self, name: str, domain: Domain) -> Any:
        return at(domain, (derive(*self._path, name) >> 10) / 2**53)  # in [0, 1), as many bits as a float holds
