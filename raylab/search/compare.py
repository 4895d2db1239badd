"""What differs between two nested JSON values, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One field that differs. `absent` stands for a side that lacks it."""

    field: str
    left: Any
    right: Any


absent = "(absent)"


def differences(left: Any, right: Any) -> list[Difference]:
    """The fields that differ, in the order of `left`, then those that only `right` has."""
    ours, theirs = dict(leaves(left)), dict(leaves(right))
    pairs = ((name, ours.get(name, absent), theirs.get(name, absent)) for name in [*ours, *(n for n in theirs if n not in ours)])
    return [Difference(field=name, left=a, right=b) for name, a, b in pairs if a != b]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf with its path, e.g. "stages[0].policy.rate". A list without objects in it is one leaf."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for i, item in enumerate(value):
            yield from leaves(item, f"{path}[{i}]")
    else:
        yield path, value
