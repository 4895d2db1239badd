"""Rows of a file: jsonl, json, csv (each also with .gz), parquet, and txt with one passage a paragraph.

A row comes with the place it stands at ("FILE, line 7"), which is what every complaint about it begins with. The
official JSON files of TriviaQA and SQuAD are read as well: their nesting is undone here, their fields are named in
`raylab.data.question_answering`.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, TextIO

from raylab.errors import UserError

Row = Mapping[str, Any]
Placed = tuple[str, Row]  # where the row stands, and the row

_JSON_CELLS = ("answers", "evidence", "answer_start")  # a csv cell is text; these hold JSON


def format_of(path: Path) -> str | None:
    """The format by the file's name, or None if raylab does not read it."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lstrip(".").lower()
    return suffix if suffix in _READERS and not (suffix == "parquet" and path.suffix == ".gz") else None


def rows_of(path: Path) -> Iterator[Placed]:
    """The rows of one file, in order, each with its place. Raises UserError that names file and line."""
    format = format_of(path)
    if format is None:
        raise UserError(f"{path} has a format raylab does not read. Expected .jsonl, .json, .csv, .txt (also .gz) or .parquet.")
    try:
        yield from _READERS[format](path)
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read as {format}: {error}. Is the file whole, and of the format its name says?"
        ) from error


def _bytes(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]


def _text(path: Path) -> TextIO:
    return io.TextIOWrapper(_bytes(path), encoding="utf-8-sig", newline="")


def _jsonl(path: Path) -> Iterator[Placed]:
    with _bytes(path) as lines:  # decoded line by line, so that a wrong byte is found in its line
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                yield where, _object(_parse(line, where), where)


def _json(path: Path) -> Iterator[Placed]:
    with _text(path) as file:
        content = _parse(file.read(), str(path), whole_file=True)
    if isinstance(content, Mapping) and isinstance(content.get("Data"), list):  # TriviaQA
        content = content["Data"]
    elif isinstance(content, Mapping) and isinstance(content.get("data"), list):
        content = content["data"]
    if not isinstance(content, list):
        raise UserError(f"{path} holds {_shown(content)}; expected a list of objects, or the official file of TriviaQA or SQuAD.")
    for number, item in enumerate(content, start=1):
        where = f"{path}, item {number}"
        row = _object(item, where)
        yield from _squad_rows(row, where) if "paragraphs" in row else ((where, row),)


def _squad_rows(article: Row, where: str) -> Iterator[Placed]:
    """One row a question of an article of SQuAD's official file; questions without an answer (version 2) are left out."""
    try:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                if asked["answers"]:
                    yield (
                        f"{where}, question {asked['id']}",
                        {
                            "id": asked["id"],
                            "title": article.get("title", ""),
                            "question": asked["question"],
                            "passage": paragraph["context"],
                            "answers": [a["text"] for a in asked["answers"]],
                            "answer_start": asked["answers"][0]["answer_start"],
                        },
                    )
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} is not of SQuAD's form: {error!r}. Expected paragraphs with context and qas.") from error


def _csv(path: Path) -> Iterator[Placed]:
    csv.field_size_limit(1 << 30)  # a passage may be longer than the module's 128 KiB
    with _text(path) as file:
        reader = csv.DictReader(file)
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if None in cells or None in cells.values():
                raise UserError(
                    f"{where} has another number of cells than the header, which names {len(reader.fieldnames or ())}."
                )
            yield where, {name: _cell(name, text, where) for name, text in cells.items() if text != ""}


def _cell(name: str, text: str, where: str) -> Any:
    return _parse(text, f"{where}: {name}") if name in _JSON_CELLS else text


def _parquet(path: Path) -> Iterator[Placed]:
    import pyarrow.parquet  # here, because it costs a command that reads no parquet 0.3 s

    number = 0
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row


def _txt(path: Path) -> Iterator[Placed]:
    paragraph: list[str] = []
    first = 1
    with _text(path) as lines:
        for number, line in enumerate([*lines, ""], start=1):
            if line.strip():
                first = number if not paragraph else first
                paragraph.append(line.strip())
            elif paragraph:
                yield f"{path}, line {first}", {"text": " ".join(paragraph)}
                paragraph = []


def _parse(text: str | bytes, where: str, *, whole_file: bool = False) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        line = f", line {error.lineno}" if whole_file and isinstance(error, json.JSONDecodeError) else ""
        raise UserError(f"{where}{line} is not JSON ({error}); got {_shown(text[:100])}. Mend or remove it.") from error


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, Mapping):
        raise UserError(f"{where} is {_shown(value)}; expected a JSON object with named fields.")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_READERS: dict[str, Callable[[Path], Iterator[Placed]]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "parquet": _parquet,
    "txt": _txt,
}
