"""The chemical elements: prose and facts out of the database file of `mendeleev`.

The file is read directly: importing the package costs seconds (pandas, SQLAlchemy), the query a millisecond.
"""

import re
import sqlite3
from collections.abc import Iterator

from raylab.data.atlas.package import folder
from raylab.data.atlas.record import Prose, Record
from raylab.data.atlas.text import paragraphs, sentences

DESCRIPTION, USES, ORIGIN = "description", "uses", "name_origin"
SECTIONS = {DESCRIPTION: "{name}", ORIGIN: "Name of {named}", USES: "Use of {named}"}
_SLIP = re.compile(r"(?<=um)py\b")  # "platinumpy", "lanthanumpy": left by a replacement in the package's source
_COLUMNS = ("name", "symbol", "discoverers", *SECTIONS)


def records() -> tuple[Record, ...]:
    """All elements by atomic number."""
    database = sqlite3.connect(f"file:{folder('mendeleev', 'mendeleev') / 'elements.db'}?mode=ro", uri=True)
    try:
        rows = database.execute(f"SELECT {', '.join(_COLUMNS)} FROM elements ORDER BY atomic_number").fetchall()
    finally:
        database.close()
    return tuple(_record(dict(zip(_COLUMNS, row, strict=True))) for row in rows)


def _record(row: dict[str, str | None]) -> Record:
    fields = {column: text for column, text in row.items() if text}
    name = fields["name"]
    return Record(
        key=fields["symbol"], family="elements", name=name, named=name.lower(), fields=fields, prose=tuple(_prose(fields, name))
    )


def _prose(fields: dict[str, str], name: str) -> Iterator[Prose]:
    for section, title in SECTIONS.items():
        for paragraph in paragraphs(_SLIP.sub("", fields.get(section, ""))):
            for text in sentences(paragraph):
                yield Prose(section=section, title=title.format(name=name, named=name.lower()), text=text)
