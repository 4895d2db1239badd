"""Multiple choice: a text and the texts to choose from, `choices` (or `choice1`, `choice2`, ...), of which `label` is right.

`label` is the place of the right choice, counted from 0, its letter, or its text.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from raylab.data.families._multiple_choice import ENTRIES
from raylab.data.fields import Incomplete, at, short
from raylab.data.rows import Row
from raylab.data.splits import unit_hash
from raylab.data.table import Classes, Entry, Layout, Table, required, text_of, texts_of
from raylab.data.task import Choice, Example
from raylab.errors import UserError


class MultipleChoice(Table):
    """accuracy: the share of examples in which the likeliest choice is the right one."""

    __slots__ = ()
    example: ClassVar[type[Example]] = Choice
    measures: ClassVar[Mapping[str, bool]] = {"accuracy": True}
    fields: ClassVar[tuple[str, ...]] = ("text", "choices")
    datasets: ClassVar[Mapping[str, Entry]] = {entry.name: entry for entry in ENTRIES}
    layouts: ClassVar[tuple[Layout, ...]] = (
        {"text": "question", "choices": "choices", "label": "label"},
        {"text": "text", "choices": "choices", "label": "label"},
        {"text": ("premise", "question"), "choices": ("choice1", "choice2"), "label": "label"},  # COPA's
    )

    @classmethod
    def example_of(cls, row: Row, layout: Layout, where: str, name: str, classes: Classes) -> Choice:
        text = text_of(row, layout["text"], where)
        choices = texts_of(row, layout["choices"], where)
        if len(choices) < 2:
            raise UserError(f"{where}: there is one choice, {short(choices[0])}; expected two at least.")
        column = str(layout["label"])
        names = at(row, str(layout.get("letters", ""))) or (classes.given if classes.own else ())
        right = _place(required(row, column, where), choices, names, column, where)
        if isinstance(layout["choices"], tuple) and column in layout["choices"]:  # its place would give the answer away
            order = sorted(range(len(choices)), key=lambda i: unit_hash(f"{text}\n{choices[i]}"))
            choices, right = tuple(choices[i] for i in order), order.index(right)
        return Choice(id=name, text=text, choices=choices, label=right)


def _place(value: Any, choices: Sequence[str], names: Sequence[str], column: str, where: str) -> int:
    """Where the right choice stands. names: what `value` calls the choices, in their order, if a dataset has its own names."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    if text in ("", "-1"):
        raise Incomplete(f"{where}: {column} is {short(value)}, no choice. Leave out the rows without one.")
    letters = [chr(ord("A") + i) for i in range(len(choices))]
    for known in (names, choices if isinstance(value, str) else (), [str(i) for i in range(len(choices))], letters):
        if text in known and list(known).index(text) < len(choices):
            return list(known).index(text)
    raise UserError(
        f"{where}: {column} is {short(value)} for {len(choices)} choices; expected the place of the right one, counted from 0, "
        "its letter, or its text."
    )
