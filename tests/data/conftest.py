"""Invented data as files: a folder laid out like a user's own."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from raylab.data.families.question_answering import DATASETS
from raylab.data.rows import Row


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def write() -> Callable[[Path, Iterable[Row]], None]:
    return write_rows


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A folder for every dataset of the table, with three splits, and the corpus `towns`."""
    for name, dataset in DATASETS.items():
        for split, rows in dataset.fixture().rows.items():
            write_rows(tmp_path / "data" / name / f"{split}.jsonl", rows)
    write_rows(tmp_path / "data" / "towns" / "all.jsonl", DATASETS["triviaqa"].fixture().passages)
    return tmp_path / "data"
