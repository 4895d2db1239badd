"""What was loaded is found again, and read again when a file of it changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from raylab.data import remembered
from raylab.data.remembered import content_of, load_again
from raylab.data.source import DataRequest, fingerprint, load


def test_a_task_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f'{{"text": "Soup {i}.", "label": {i % 2}}}\n' for i in range(80)]
    (tmp_path / "soups.jsonl").write_text("".join(rows))
    request = DataRequest(dataset=str(tmp_path / "soups.jsonl"))
    first = load_again(request)
    monkeypatch.setattr(remembered, "load", lambda _: pytest.fail("its rows were read again"))
    again = load_again(request)
    assert {split: tuple(again.splits[split]) for split in again.splits} == dict(first.splits)
    assert tuple(again.corpus) == first.corpus and again.notes == first.notes and again.labels == ("0", "1")
    assert content_of(again) == content_of(first) == fingerprint(first) == fingerprint(again)
    fewer = replace(again, splits={**again.splits, "train": again.splits["train"][:9]})
    assert content_of(fewer) == fingerprint(fewer) != content_of(again)
    monkeypatch.setattr(remembered, "load", load)
    (tmp_path / "soups.jsonl").write_text("".join(rows[:-1]))
    assert sum(map(len, load_again(request).splits.values())) == 79
