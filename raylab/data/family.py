"""A family of tasks: what its examples are, how rows become examples, how they are measured, and its known datasets.

A family is one file in raylab/data/families/. How it is learned (head, loss, batches) stands in raylab/families/, in the
file of the same name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from raylab.data.hub import HubTable
from raylab.data.rows import Row
from raylab.data.task import Example, Passage
from raylab.errors import UserError
from raylab.registry import Plugin, Registry

Named = tuple[str, str, Row]  # a name that stands in for a missing id, where the row stands, and the row
Splits = Mapping[str, tuple[Any, ...]]  # examples of one family, by split


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """Examples as read: the splits that were there, the names of their classes, the passages that rows carried, and what
    was noteworthy."""

    splits: Splits
    labels: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A dataset known by name.

    splits: the Hub's split for each of raylab's; a missing dev is cut out of train. corpus: the passages read where nobody
    names any. version: raised when what the name stands for changes. source: the paper.
    """

    name: str
    hub: HubTable
    splits: Mapping[str, str]
    licence: str
    source: str
    corpus: str = ""
    version: int = 1

    def invented(self) -> tuple[Row, ...]:
        """A few invented rows, laid out like the Hub's."""
        raise NotImplementedError


class Family(Plugin):
    """Base of the families. measures: name and whether higher is better; the first selects and decides. fields: the
    example's texts that are tokenised; pointed_at: those of them in which answers are places."""

    __slots__ = ()
    registry: ClassVar[Registry] = Registry("task family", "raylab.data.families")
    example: ClassVar[type[Example]]
    noun: ClassVar[str] = "example"
    left_out: ClassVar[str] = ""  # what else than repeated examples is left out
    measures: ClassVar[Mapping[str, bool]]
    fields: ClassVar[tuple[str, ...]]
    pointed_at: ClassVar[tuple[str, ...]] = ()
    datasets: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def fits(cls, row: Row) -> int:
        """How many of a row's columns this family needs, or 0 if it cannot read the row: the one that needs most reads it."""
        raise NotImplementedError

    @classmethod
    def knows(cls, row: Row, dataset: Any) -> bool:
        """Whether a row is laid out like those of a dataset of the family's table."""
        return cls.fits(row) > 0

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The fields that a user may name columns for."""
        raise NotImplementedError

    @classmethod
    def targets(cls, row: Row) -> tuple[str, ...]:
        """The columns of a row that say what is to be predicted."""
        raise NotImplementedError

    @classmethod
    def read(cls, rows: Mapping[str, Iterable[Named]], dataset: Any = None) -> Examples:
        """The examples of the rows of each split. dataset: the entry of the table that they belong to, or what a user's
        task.json says of them (raylab.data.declared.Declared), if any.

        Raises UserError for a row that is not as its family has them.
        """
        raise NotImplementedError

    @classmethod
    def fields_of(cls, example: Any) -> Iterable[str]:
        """The fields of an example, each text by itself: what a tokenizer of its own is trained on, beside the corpus."""
        for field in cls.fields:
            value = getattr(example, field)
            yield from (value,) if isinstance(value, str) else value

    @classmethod
    def check(cls, name: str, splits: Splits, labels: tuple[str, ...]) -> None:
        """Raise UserError if the examples that are left cannot be learned from: a class that train has not, one class alone."""

    @classmethod
    def ground(cls, splits: Splits, corpus: tuple[Passage, ...], corpus_name: str, only: bool) -> tuple[Splits, tuple[str, ...]]:
        """The examples as this corpus lets them be asked, and notes; most families do not rest on a corpus."""
        return splits, ()


def family_of(name: str) -> type[Family]:
    """The family of that name. Raises UserError, with the nearest name, if there is none."""
    family: type[Family] = Family.registry.get(name)
    return family


def families() -> tuple[type[Family], ...]:
    """All families, by name."""
    return tuple(family_of(name) for name in Family.registry.names())


def fitting(row: Row) -> type[Family] | None:
    """The family that reads rows like this, or None. Raises UserError if two read it equally well."""
    fits = {family: family.fits(row) for family in families()}
    best = [family for family, columns in fits.items() if columns and columns == max(fits.values())]
    if len(best) > 1:
        raise UserError(
            f"rows with {', '.join(row)} could be of the families {' and '.join(f.name() for f in best)}; "
            'say which in a file task.json beside them, e.g. {"family": "' + best[0].name() + '"}.'
        )
    return best[0] if best else None


@cache
def known() -> Mapping[str, tuple[type[Family], Any]]:
    """Every dataset known by name, with its family. Raises UserError where two families know one name."""
    found: dict[str, tuple[type[Family], Any]] = {}
    for family in families():
        for name, dataset in family.datasets.items():
            if name in found:
                raise UserError(
                    f"two families define the dataset {name!r}: {found[name][0].name()} and {family.name()}. Rename one."
                )
            found[name] = family, dataset
    return found
