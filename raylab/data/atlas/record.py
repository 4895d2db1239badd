"""What the readers of packages give: an entity with its named fields and its passages of prose."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Prose:
    """One passage of the package's own words: a sentence or two of a section, under a title that says what it is about."""

    section: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One entity. `named` is its name within a sentence ("the Bahamas" for "Bahamas"); fields hold the package's own
    text by path, markup included."""

    key: str
    family: str
    name: str
    named: str
    fields: Mapping[str, str]
    prose: tuple[Prose, ...]
