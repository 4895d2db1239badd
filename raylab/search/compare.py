"""What differs between two nested JSON values, field by field."""

from dataclasses import dataclass
from typing import Any

from raylab.search.flat import flatten


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One field that differs. `absent` stands for a side that lacks it."""

    field: str
    left: Any
    right: Any


absent = "(absent)"


def differences(left: Any, right: Any) -> list[Difference]:
    """The fields that differ, in the order of `left`, then those that only `right` has."""
    ours, theirs = dict(flatten(left)), dict(flatten(right))
    pairs = ((name, ours.get(name, absent), theirs.get(name, absent)) for name in [*ours, *(n for n in theirs if n not in ours)])
    return [Difference(field=name, left=a, right=b) for name, a, b in pairs if a != b]
