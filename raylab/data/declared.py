"""What a file task.json beside a user's rows says of them, where their columns do not say it themselves.

    {"family": "classification", "columns": {"text": "review", "label": "stars"}, "labels": ["bad", "good"],
     "splits": {"train": "a.jsonl", "test": "b.jsonl"}}

All of it is optional. columns: by field, a column or a list of columns whose texts are joined. labels: the classes in order.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raylab.data.family import Family, family_of
from raylab.data.fields import at, short
from raylab.data.rows import Row
from raylab.errors import UserError, unknown

FILE = "task.json"
_KEYS = ("family", "columns", "labels", "splits")


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """A user's own word on a folder of rows."""

    path: Path
    family: type[Family] | None = None
    columns: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)

    def check(self, family: type[Family], row: Row) -> None:
        """Raise UserError for a field that the family has not, or a column that the rows have not."""
        for name, path in self.columns.items():
            if name not in family.columns():
                raise unknown(f"field of {family.name()} in {self.path}", name, family.columns())
            for column in (path,) if isinstance(path, str) else path:
                if at(row, column) is None:
                    raise UserError(
                        f"{self.path} says that {name} stands in the column {column!r}, which the rows do not have; "
                        f"they have {', '.join(row)}. Name one of these."
                    )


def declared(folder: Path) -> Declared | None:
    """What the folder's task.json says, or None if it has none. Raises UserError if it is not as above."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}). Mend or remove it.") from error
    if not isinstance(said, Mapping):
        raise UserError(f"{path} is {short(said)}; expected an object with any of {', '.join(_KEYS)}.")
    for key in said:
        if key not in _KEYS:
            raise unknown(f"entry of {path}", key, _KEYS)
    return Declared(
        path=path,
        family=family_of(said["family"]) if "family" in said else None,
        columns={name: tuple(c) if isinstance(c, list) else c for name, c in _texts(said, "columns", path).items()},
        labels=tuple(map(str, said.get("labels", ()))),
        splits=_texts(said, "splits", path),
    )


def _texts(said: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    value = said.get(key, {})
    names = [c for v in value.values() for c in (v if isinstance(v, list) else [v])] if isinstance(value, Mapping) else [None]
    if not all(isinstance(name, str) and name for name in names):
        raise UserError(f"{path}: {key} is {short(value)}; expected an object whose values are names.")
    return dict(value)
