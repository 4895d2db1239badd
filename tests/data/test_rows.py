"""Files in every format, and what is said of broken ones."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from raylab.data.rows import Row, format_of, rows_of
from raylab.errors import UserError

ROWS = [
    {"question": "Where?", "answers": ["Here", "There, too"]},
    {"question": "Wh\u00e9n, \u201cnow\u201d?", "answers": ["Now"]},
]


def _csv_text(rows: list[Row]) -> str:
    cells = (f'"{row["question"]}","{json.dumps(row["answers"]).replace(chr(34), chr(34) * 2)}"' for row in rows)
    return "question,answers\n" + "\n".join(cells) + "\n"


WRITERS: dict[str, Callable[[Path], object]] = {
    "x.jsonl": lambda p: p.write_text("\n".join(json.dumps(r) for r in ROWS), encoding="utf-8"),
    "x.jsonl.gz": lambda p: p.write_bytes(gzip.compress("\n\n".join(json.dumps(r) for r in ROWS).encode())),
    "x.json": lambda p: p.write_text("\ufeff" + json.dumps(ROWS), encoding="utf-8"),
    "x.json.gz": lambda p: p.write_bytes(gzip.compress(json.dumps(ROWS).encode())),
    "x.csv": lambda p: p.write_text(_csv_text(ROWS), encoding="utf-8"),
    "x.csv.gz": lambda p: p.write_bytes(gzip.compress(_csv_text(ROWS).encode())),
    "x.parquet": lambda p: pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    placed = list(rows_of(tmp_path / name))
    assert [dict(row) for _, row in placed] == ROWS
    assert all(where.startswith(f"{tmp_path / name}, ") for where, _ in placed)


def test_text_gives_one_passage_a_paragraph(tmp_path: Path) -> None:
    path = tmp_path / "prose.txt"
    path.write_text("One line\nand another.\n\n\nSecond.", encoding="utf-8")
    assert list(rows_of(path)) == [
        (f"{path}, line 1", {"text": "One line and another."}),
        (f"{path}, line 5", {"text": "Second."}),
    ]


def test_official_squad_file_gives_a_row_a_question(tmp_path: Path) -> None:
    asked = {
        "id": "q1",
        "question": "Who?",
        "answers": [{"text": "Rollo", "answer_start": 7}, {"text": "Rollo", "answer_start": 7}],
    }
    impossible = {"id": "q2", "question": "Why?", "answers": [], "is_impossible": True}
    article = {"title": "Normans", "paragraphs": [{"context": "Before Rollo came", "qas": [asked, impossible]}]}
    path = tmp_path / "train-v1.1.json"
    path.write_text(json.dumps({"version": "1.1", "data": [article]}))
    ((where, row),) = rows_of(path)
    assert where.endswith("item 1, question q1")
    assert row["passage"] == "Before Rollo came" and row["answers"] == ["Rollo", "Rollo"] and row["answer_start"] == 7


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{"a": 1}\n\n{"a": \n', "x.jsonl, line 3 is not JSON"),
        ("x.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "x.jsonl, line 2 is not JSON"),
        ("x.jsonl", b'{"a": 1}\n[1, 2]\n', "x.jsonl, line 2 is [1, 2]; expected a JSON object"),
        ("x.json", b'[{"a": 1},\n {"a": }]', "x.json, line 2 is not JSON"),
        ("x.json", b'{"rows": 3}', "expected a list of objects"),
        ("x.json", b'[{"a": 1}, 7]', "x.json, item 2 is 7"),
        ("x.json", b'{"data": [{"paragraphs": [{"context": "c"}]}]}', "not of SQuAD's form"),
        ("x.csv", b"question,answer\nWho?,me\nWhy?,because,so\n", "x.csv, line 3 has another number of cells"),
        ("x.csv", b"question,answer\nWho?\n", "x.csv, line 2 has another number of cells"),
        ("x.csv", b"question,answers\nWho?,me\n", "x.csv, line 2: answers is not JSON"),
        ("x.csv", b"question,answer\nWho?,\xff\n", "x.csv cannot be read as csv"),
        ("x.jsonl.gz", b"no gzip at all", "x.jsonl.gz cannot be read as jsonl"),
        ("x.jsonl.gz", gzip.compress(b'{"a": "' + bytes(range(33, 91)) * 99, mtime=0)[:60], "x.jsonl.gz cannot be read as jsonl"),
        ("x.parquet", b"PAR?", "x.parquet cannot be read as parquet"),
        ("x.xlsx", b"", "format raylab does not read"),
    ],
)
def test_broken_files_are_named_with_their_line(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        list(rows_of(tmp_path / name))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_format_is_told_by_the_name() -> None:
    names = ("a.jsonl", "a.JSONL.gz", "a.parquet", "a.parquet.gz", "README.md", "a")
    assert [format_of(Path(name)) for name in names] == ["jsonl", "jsonl", "parquet", None, None, None]
