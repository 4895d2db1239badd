"""Folders of code, sent to workers by content."""

from pathlib import Path

import pytest

from raylab.cluster import shipping
from raylab.cluster.shipping import pack, unpack
from raylab.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    (made / "masking" / "policies" / "__pycache__").mkdir(parents=True)
    (made / ".git").mkdir()
    (made / "masking" / "policies" / "own.py").write_text("a = 1\n")
    (made / "masking" / "policies" / "__pycache__" / "own.pyc").write_bytes(b"\0")
    (made / ".git" / "config").write_text("secret")
    (made / "words.bin").write_bytes(bytes(range(256)))
    return made


def test_only_what_counts_goes_along(folder: Path) -> None:
    assert pack(folder)["files"] == {"masking/policies/own.py": b"a = 1\n", "words.bin": bytes(range(256))}


def test_the_original_is_taken_where_it_lies(folder: Path) -> None:
    packed = pack(folder)
    (folder / "notes.txt").write_text("written meanwhile")
    assert unpack(packed) == folder


@pytest.mark.parametrize("change", ["gone", "edited"])
def test_another_machine_gets_a_copy(folder: Path, tmp_path: Path, change: str) -> None:
    packed = pack(folder)
    if change == "gone":
        folder.rename(tmp_path / "elsewhere")
    else:
        (folder / "masking" / "policies" / "own.py").write_text("a = 2\n")
    copy = unpack(packed)
    assert copy != folder
    assert pack(copy)["files"] == packed["files"]


def test_a_folder_of_data_is_too_much(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "MOST_BYTES", 100)
    with pytest.raises(UserError, match=r"words\.bin is the largest.*--data-dir"):
        pack(folder)
