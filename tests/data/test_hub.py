"""The Hub: real `datasets` code over parquet files with the Hub's columns, the cache, and being offline."""

from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest
from huggingface_hub import constants

from raylab.data import hub
from raylab.data.hub import HubTable, HubUnreachable

TABLE = HubTable(id="some/quiz", config="plain", columns=("question", "answer"))
ROWS = [{"question": f"Q{i}", "answer": [f"A{i}"], "context": "long"} for i in range(10)]

Calls = list[dict[str, Any]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def online(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A Hub that holds one table; returns the list of calls made to it."""
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "table.parquet")
    calls: Calls = []
    real = datasets.load_dataset

    def load_dataset(path: str, name: str | None = None, *, split: str, streaming: bool) -> Any:
        calls.append({"path": path, "name": name, "split": split, "streaming": streaming})
        return real("parquet", data_files={split: str(tmp_path / "table.parquet")}, split=split, streaming=streaming)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, repo_id, timeout: None)
    return calls


def _questions(limit: int | None, split: str = "train") -> list[str]:
    return [row["question"] for _, row in hub.rows(TABLE, split, limit)]


def test_rows_are_streamed_with_their_place(online: Calls) -> None:
    placed = list(hub.rows(TABLE, "train", 3))
    assert [row for _, row in placed] == [{"question": f"Q{i}", "answer": [f"A{i}"]} for i in range(3)]
    assert placed[1][0] == "some/quiz, train, row 2"
    assert online == [{"path": "some/quiz", "name": "plain", "split": "train", "streaming": True}]


def test_the_cache_answers_what_it_can(online: Calls) -> None:
    assert _questions(4) == ["Q0", "Q1", "Q2", "Q3"]
    assert _questions(2) == ["Q0", "Q1"] and len(online) == 1
    assert len(_questions(6)) == 6 and len(online) == 2
    assert len(_questions(50)) == 10 and len(online) == 3  # there are only ten: all are cached now
    assert len(_questions(None)) == 10 and len(_questions(7)) == 7 and len(online) == 3
    assert len(_questions(2, split="test")) == 2 and len(online) == 4


def test_the_cache_needs_no_network(online: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _questions(None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delattr(datasets, "load_dataset")
    assert _questions(None) == first


def test_a_cache_that_cannot_be_written_stops_nothing(
    online: Calls, home: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    home.write_text("a file where the folder should be")
    assert len(_questions(5)) == 5
    assert "could not be kept" in caplog.text


def test_nothing_is_left_half_written(online: Calls, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub.os, "replace", full)
    assert len(_questions(5)) == 5
    assert [path for path in home.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("home")
def test_offline_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        HubUnreachable, match=r"some/quiz is not in the Hub's cache .* \(HF_HUB_OFFLINE is set\).*--source builtin"
    ):
        hub.rows(TABLE, "train", 3)


@pytest.mark.usefixtures("home")
def test_unreachable_is_known_after_one_short_knock(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("load_dataset retries for half a minute; it must not be called where there is no network")

    timeouts: list[float] = []

    def knock(self: object, repo_id: str, timeout: float) -> None:
        timeouts.append(timeout)
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", knock)
    monkeypatch.setattr(datasets, "load_dataset", never)
    with pytest.raises(HubUnreachable, match=r"\(ConnectionError: no route to host\)"):
        hub.rows(TABLE, "train", 3)
    assert timeouts == [hub.TIMEOUT_S] and hub.TIMEOUT_S <= 5


def test_a_stream_that_breaks_off_leaves_no_cache(online: Calls, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def select_columns(self, _: list[str]) -> "Broken":
            return self

        def __iter__(self) -> Any:
            yield {"question": "Q0"}
            raise OSError("connection reset")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: Broken())
    with pytest.raises(HubUnreachable, match="connection reset"):
        hub.rows(TABLE, "train", None)
    assert not home.exists()


def test_a_repository_of_a_script_is_read_from_its_conversion(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub" / "plain" / "train").mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "hub" / "plain" / "train" / "0000.parquet")
    real = datasets.load_dataset

    def load_dataset(path: str, name: str | None = None, **how: Any) -> Any:
        if how.pop("revision", None) != "refs/convert/parquet":
            raise RuntimeError("Dataset scripts are no longer supported, but found quiz.py")
        files = {split: str(tmp_path / "hub" / pattern) for split, pattern in how.pop("data_files").items()}
        return real("parquet", data_files=files, **how)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, repo_id, timeout: None)
    assert _questions(2) == ["Q0", "Q1"]
