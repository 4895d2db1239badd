"""Families whose rows are laid out in columns: which columns are read as which field, and rows to examples.

A layout says where a field stands: a column, or a dotted path into one ("choices.text"); or several, whose texts are joined
(a list of choices: one column each). The layout of rows is that of their entry in the family's table, if it fits, else the
family's own that uses most of the columns.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from raylab.data.family import Dataset, Examples, Family, Named, Splits
from raylab.data.fields import Incomplete, at, is_text, missing, short
from raylab.data.hub import HubTable
from raylab.data.rows import Row
from raylab.data.task import Example
from raylab.errors import UserError

Path = str | tuple[str, ...]
Layout = Mapping[str, Path]
TARGETS = ("label", "score", "answers", "starts", "tags", "target", "references")  # fields that are to be predicted


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry(Dataset):
    """A dataset of a table: its columns by field, its classes or label values in order, how it is usually measured, and a
    few invented rows laid out like the Hub's. reshape: from a row of the Hub to one with these columns, where it is special."""

    columns: Layout
    labels: tuple[str, ...] = ()
    measure: str = ""
    rows: tuple[Row, ...] = field(default=(), repr=False)
    reshape: Callable[[Row], Row] | None = None

    def invented(self) -> tuple[Row, ...]:
        return self.rows


GLUE_SPLITS = {"train": "train", "test": "validation"}  # the labels of the test split are nobody's


def entry(
    name: str, hub: str, columns: Layout, rows: Sequence[Sequence[Any]], *, licence: str, source: str, config: str | None = None,
    splits: Mapping[str, str] | None = None, labels: tuple[str, ...] = (), measure: str = "", raw: tuple[str, ...] = (),
    reshape: Callable[[Row], Row] | None = None,
) -> Entry:  # fmt: skip
    """An entry whose invented rows are written as tuples, in the order of its columns on the Hub: those of the layout, or
    `raw` where the Hub's rows are reshaped to it."""
    there = raw or tuple(dict.fromkeys(column.split(".")[0] for column in columns_of(columns)))
    table = HubTable(id=hub, config=config, columns=there)
    return Entry(
        name=name, hub=table, splits=splits or GLUE_SPLITS, licence=licence, source=source, columns=columns, labels=labels,
        measure=measure, rows=tuple(dict(zip(there, row, strict=True)) for row in rows), reshape=reshape,
    )  # fmt: skip


@dataclass(slots=True)
class Classes:
    """The classes of a dataset: found while rows are read, put in their order at the end.

    The order is that of the names that are given, if all values are among them or count them; else that of the numbers, if
    all are integers; else that of the alphabet.
    """

    given: tuple[str, ...] = ()
    own: bool = False  # whether the rows have the columns that the names were given for
    found: dict[str, int] = field(default_factory=dict)

    def of(self, value: Any, column: str, where: str) -> int:
        """The provisional place of a row's class. Raises UserError if no class can be meant."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # what a column of integers with a gap becomes in pandas
        if isinstance(value, float) or not isinstance(value, (str, int)) or value == "":
            raise UserError(
                f"{where}: {column} is {short(value)}; expected a class as text, integer, or true or false. "
                "Numbers to be predicted go into `score`."
            )
        if value == -1:
            raise Incomplete(f"{where}: {column} is -1, no class. Leave out the rows without one.")
        name = str(value).lower() if isinstance(value, bool) else str(value)
        return self.found.setdefault(name, len(self.found))

    def ordered(self) -> tuple[tuple[str, ...], list[int]]:
        """The names in their order, and the final place of each provisional one."""
        names = self._names()
        return names, [names.index(self._name(value)) for value in self.found]

    def _names(self) -> tuple[str, ...]:
        if self.given and all(self._name(value) in self.given for value in self.found):
            return self.given
        self.given = ()
        number = all(value.lstrip("+-").isdecimal() for value in self.found)
        return tuple(sorted(self.found, key=(lambda value: (int(value), value)) if number else None))

    def _name(self, value: str) -> str:
        if value in self.given or not self.given:
            return value
        place = {"false": "0", "true": "1"}.get(value, value)
        return self.given[int(place)] if place.isdecimal() and int(place) < len(self.given) else value


class Table(Family):
    """Base of the families that read columns. layouts: where a user's rows may have the fields, all of them needed."""

    __slots__ = ()
    layouts: ClassVar[tuple[Layout, ...]]
    datasets: ClassVar[Mapping[str, Entry]] = {}

    @classmethod
    def fits(cls, row: Row) -> int:
        fitting = [layout for layout in cls.layouts if cls.has(row, layout)]
        return max((len(columns_of(layout)) for layout in fitting), default=0)

    @classmethod
    def has(cls, row: Row, layout: Layout) -> bool:
        """Whether a row has the layout's columns, and in them what this family expects."""
        return all(at(row, column) is not None for column in columns_of(layout))

    @classmethod
    def knows(cls, row: Row, dataset: Entry) -> bool:
        return cls.has(row, dataset.columns) or cls.fits(row) > 0

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for layout in cls.layouts for name in layout))

    @classmethod
    def targets(cls, row: Row) -> tuple[str, ...]:
        layout = cls.layout_of(row, None)
        return columns_of({name: path for name, path in layout.items() if name in TARGETS})

    @classmethod
    def read(cls, rows: Mapping[str, Iterable[Named]], dataset: Any = None) -> Examples:
        reshape = dataset.reshape if isinstance(dataset, Entry) else None
        splits: dict[str, tuple[Any, ...]] = {}
        classes = Classes(given=dataset.labels if dataset else ())
        left_out = 0
        for split, named in rows.items():
            kept, without = [], 0
            first, named = peeked(named)
            if first is not None:
                layout = cls.layout_of(reshape(first) if reshape else first, dataset)
                classes.own = dataset is not None and layout is dataset.columns
            for name, where, row in named:
                try:
                    kept.append(cls.example_of(reshape(row) if reshape else row, layout, where, _id(row, name), classes))
                except Incomplete:
                    if not isinstance(dataset, Entry):  # a person's own rows can be mended
                        raise
                    without += 1
            splits[split] = tuple(kept)
            left_out += without
        notes = (f"rows without a label or a text left out: {left_out:,}",) if left_out else ()
        return cls.finished(splits, classes, notes)

    @classmethod
    def layout_of(cls, row: Row, dataset: Any) -> Layout:
        """The layout that rows like this are read with."""
        if dataset is not None and dataset.columns and all(at(row, c) is not None for c in columns_of(dataset.columns)):
            layout: Layout = dataset.columns
            return layout
        fitting = [layout for layout in cls.layouts if cls.has(row, layout)]
        if fitting:
            return max(fitting, key=lambda layout: len(columns_of(layout)))
        return max(cls.layouts, key=lambda layout: _share(row, layout))  # what is amiss is told of the nearest

    @classmethod
    def example_of(cls, row: Row, layout: Layout, where: str, name: str, classes: Classes) -> Example:
        """The example of a row; its classes are provisional places. Raises UserError for a row that has none."""
        raise NotImplementedError

    @classmethod
    def finished(cls, splits: Splits, classes: Classes, notes: tuple[str, ...]) -> Examples:
        """All examples with their classes in order."""
        return Examples(splits=splits, notes=notes)


def columns_of(layout: Layout) -> tuple[str, ...]:
    """All columns of a layout, each once."""
    paths = ((path,) if isinstance(path, str) else path for path in layout.values())
    return tuple(dict.fromkeys(itertools.chain.from_iterable(paths)))


def _share(row: Row, layout: Layout) -> float:
    columns = columns_of(layout)
    return sum(at(row, column) is not None for column in columns) / len(columns)


def peeked(named: Iterable[Named]) -> tuple[Row | None, Iterator[Named]]:
    """The first row, and all of them."""
    rows = iter(named)
    first = next(rows, None)
    return (None, iter(())) if first is None else (first[2], itertools.chain([first], rows))


def text_of(row: Row, path: Path, where: str) -> str:
    """The text of a column, or the texts of several, joined by a space.

    Raises UserError for a column that is not there or holds no text, Incomplete for an empty one.
    """
    columns = (path,) if isinstance(path, str) else path
    texts = [_text(row, column, where) for column in columns]
    if not any(texts):
        raise Incomplete(f"{where}: {' and '.join(columns)} {'is' if len(columns) == 1 else 'are'} empty; expected a text.")
    return " ".join(text for text in texts if text)


def texts_of(row: Row, path: Path, where: str) -> tuple[str, ...]:
    """A list of texts: of one column that holds a list, or of several columns. Raises UserError, Incomplete."""
    if isinstance(path, tuple):
        return tuple(text for column in path if (text := _text(row, column, where)))
    value = required(row, path, where)
    listed: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise UserError(f"{where}: {path} is {short(value)}; expected a list of texts.")
    if not any(map(is_text, listed)):
        raise Incomplete(f"{where}: {path} is {short(value)}; expected a list of texts that is not empty.")
    return tuple(listed)


def required(row: Row, column: str, where: str) -> Any:
    """What stands in a column. Raises UserError if it is not there."""
    value = at(row, column)
    if value is None:
        raise missing(row, f"no `{column}`", where, f"a column `{column}` in every row")
    return value


def _text(row: Row, column: str, where: str) -> str:
    value = required(row, column, where)
    if not isinstance(value, str):
        raise UserError(f"{where}: {column} is {short(value)}; expected a text.")
    return value.strip()


def _id(row: Row, name: str) -> str:
    own = row.get("id")
    return str(own) if isinstance(own, (str, int)) and own != "" else name
