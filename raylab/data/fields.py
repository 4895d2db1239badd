"""Fields of a row by dotted paths ("answer.aliases"), and the complaints about those that are missing or wrong."""

from collections.abc import Mapping
from typing import Any

from raylab.data.rows import Row
from raylab.errors import UserError


class Incomplete(UserError):
    """A row without what it should ask or say: published datasets have some, which are left out and counted."""


def at(row: Any, path: str) -> Any:
    """What stands at a path, or None."""
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def put(row: dict[str, Any], path: str, value: Any) -> None:
    """Write a value at a path."""
    *parents, last = path.split(".")
    for name in parents:
        row = row.setdefault(name, {})
    row[last] = value


def is_text(value: Any) -> bool:
    """Whether a value is a text that is not empty."""
    return isinstance(value, str) and bool(value.strip())


def filled(row: Row, path: str, where: str, expected: str) -> str:
    """The text at a path. Raises UserError, which says what a row is `expected` to have, if there is none."""
    value = at(row, path)
    if value is None:
        raise missing(row, f"no `{path}`", where, expected)
    if not is_text(value):
        raise UserError(f"{where}: {path} is {short(value)}; expected a text that is not empty.")
    return str(value).strip()


def missing(row: Row, what: str, where: str, expected: str) -> UserError:
    """The complaint about a row without some field."""
    return UserError(f"{where} has {what}; got {', '.join(row) or 'nothing'}. Expected {expected}.")


def short(value: Any) -> str:
    """A value as a complaint shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
