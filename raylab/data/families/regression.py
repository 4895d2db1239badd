"""Regression: a number for a text, or for a pair of texts, as `score` (or as `label`, where it is a fraction)."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from raylab.data.families._regression import ENTRIES
from raylab.data.family import Splits
from raylab.data.fields import at, short
from raylab.data.rows import Row
from raylab.data.table import Classes, Entry, Layout, Table, required, text_of
from raylab.data.task import Example, Scored
from raylab.errors import UserError

PAIRS = (("text_a", "text_b"), ("sentence1", "sentence2"), ("premise", "hypothesis"))
SINGLES = ("text", "sentence")


class Regression(Table):
    """pearson decides; spearman is that of the ranks."""

    __slots__ = ()
    example: ClassVar[type[Example]] = Scored
    measures: ClassVar[Mapping[str, bool]] = {"pearson": True, "spearman": True}
    fields: ClassVar[tuple[str, ...]] = ("text", "text_b")
    datasets: ClassVar[Mapping[str, Entry]] = {entry.name: entry for entry in ENTRIES}
    layouts: ClassVar[tuple[Layout, ...]] = tuple(
        layout
        for column in ("score", "label")
        for layout in (
            *({"text": first, "text_b": second, "score": column} for first, second in PAIRS),
            *({"text": single, "score": column} for single in SINGLES),
        )
    )

    @classmethod
    def has(cls, row: Row, layout: Layout) -> bool:
        column = str(layout["score"])
        value = at(row, column)
        return super().has(row, layout) and (column != "label" or (isinstance(value, float) and not value.is_integer()))

    @classmethod
    def example_of(cls, row: Row, layout: Layout, where: str, name: str, classes: Classes) -> Scored:
        column = str(layout["score"])
        text = text_of(row, layout["text"], where)
        text_b = text_of(row, layout["text_b"], where) if "text_b" in layout else ""
        return Scored(id=name, text=text, text_b=text_b, score=_number(required(row, column, where), column, where))

    @classmethod
    def check(cls, name: str, splits: Splits, labels: tuple[str, ...]) -> None:
        for split, examples in splits.items():
            if len({e.score for e in examples}) < 2:
                raise UserError(
                    f"{name}: all {len(examples):,} scores of {split} are {examples[0].score:g}; expected numbers that differ, "
                    "as a correlation is measured. Is that the right column, and are there enough examples?"
                )


def _number(value: Any, column: str, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: {column} is {short(value)}; expected a number. Classes go into `label`.")
    return number
