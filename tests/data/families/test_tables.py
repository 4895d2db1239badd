"""Every dataset of the tables is whole, and its invented rows are read by the code that reads the Hub's."""

from collections import Counter

import pytest

from raylab.data.family import Family, known
from raylab.data.table import Entry, columns_of

TABLED = {name: (family, entry) for name, (family, entry) in known().items() if isinstance(entry, Entry)}


def test_about_fifty_are_known() -> None:
    counts = Counter(family.name() for family, _ in TABLED.values())
    assert counts == {
        "classification": 24, "regression": 1, "multiple_choice": 11, "span": 6, "generation": 5, "tagging": 1,
    }  # fmt: skip


@pytest.mark.parametrize(("family", "entry"), TABLED.values(), ids=TABLED)
def test_an_entry_is_whole_and_its_rows_are_read(family: type[Family], entry: Entry) -> None:
    assert entry.licence and entry.source and entry.version >= 1 and not entry.corpus
    assert {"train", "test"} <= set(entry.splits) <= {"train", "dev", "test"}
    assert len(set(entry.splits.values())) == len(entry.splits)
    assert not entry.measure or entry.measure in family.measures
    assert set(entry.columns) <= set(family.columns()) | {"letters"}
    assert entry.reshape or {column.split(".")[0] for column in columns_of(entry.columns)} == set(entry.hub.columns)
    assert 2 <= len(entry.rows) <= 6 and all(set(row) == set(entry.hub.columns) for row in entry.rows)
    read = family.read({"train": [(str(i), "", row) for i, row in enumerate(entry.rows)]}, entry)
    assert read.splits["train"] and len(read.splits["train"]) >= len(entry.rows) - 1
    assert len(read.splits["train"]) == len(entry.rows) or read.notes == ("rows without a label or a text left out: 1",)
    if family.name() in ("classification", "tagging"):
        assert read.labels == entry.labels
    if family.name() == "classification":
        assert {e.label for e in read.splits["train"]} == set(range(len(entry.labels)))


def test_the_right_choice_of_sciq_is_anywhere() -> None:
    family, entry = TABLED["sciq"]
    rows = [(str(i), "", {**entry.rows[0], "question": f"Question {i}?"}) for i in range(200)]
    examples = family.read({"train": rows}, entry).splits["train"]
    assert {e.choices[e.label] for e in examples} == {"carbon dioxide"}
    assert max(Counter(e.label for e in examples).values()) < 80
