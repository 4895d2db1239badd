"""A line of a table, in the place of training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raylab.recipe import Stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry(Stage):
    """position: of each choice, the number of its value."""

    position: tuple[int, ...]

    def reads(self, context: Any) -> Sequence[int]:
        """Nothing."""
        return []
