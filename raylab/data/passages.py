"""Passages of a corpus: one a row, as `text` with `title`, or those that the row of a question carries."""

from collections.abc import Iterator, Mapping

from raylab.data.fields import filled, is_text, short
from raylab.data.rows import Row
from raylab.data.task import Passage
from raylab.errors import UserError
from raylab.recipe import digest

CARRIERS = ("passage", "context", "evidence")  # of a question's row; a corpus has `text`


def passage(title: str, text: str) -> Passage:
    """A passage whose id is made of its content, so that the same passage read twice is the same."""
    return Passage(id=digest([title, text]), title=title, text=text)


def read_passages(row: Row, where: str, column: str | None = None) -> tuple[Passage, ...]:
    """The passages of a corpus's row: `text` (or what stands in `column`) with `title`, or those that a question's row carries.

    Raises UserError if there are none.
    """
    field = column or next((name for name in ("text", *CARRIERS) if row.get(name) is not None), None)
    if field is None:
        got = ", ".join(row) or "nothing"
        raise UserError(f"{where} has no `text`; got {got}. Expected a passage as `text`, with `title` if it has one.")
    return tuple(_passages(row, field, where))


def _passages(row: Row, field: str, where: str) -> Iterator[Passage]:
    if field != "evidence":
        yield passage(str(row.get("title") or ""), filled(row, field, where, "a passage as `text`"))
        return
    evidence = row[field]
    if not (isinstance(evidence, list) and all(isinstance(e, Mapping) and is_text(e.get("text")) for e in evidence)):
        raise UserError(f"{where}: evidence is {short(evidence)}; expected a list of objects with title and text.")
    yield from (passage(str(e.get("title") or ""), e["text"].strip()) for e in evidence)
