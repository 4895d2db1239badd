"""`raylab cache`: what it shows, what it prunes, here and in a bucket, and what it refuses."""

import json
from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.storage import Storage
from raylab.training.parallel import Parallel
from raylab.training.stage_cache import FOLDER, StageCache
from tests import tiny

COST = {"tokens": 1_234_567, "flops": 1e9, "seconds": 75.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def kept(storage: Storage, data: Prepared, *keys: str) -> StageCache:
    """A cache of models, the first of them of use longest ago."""
    cache = StageCache(place=storage / FOLDER)
    for key in keys:
        cache.keep(key, build(ModelSpec(), data.tokenizer, 0), f"denoise {key}", cost=COST, by="run", totals={})
    assert cache.notices() == []
    return cache


def test_it_shows_what_is_held_and_what_it_has_cost(data: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(Storage(here=tmp_path), data, "one", "two")
    assert main(["cache", "show", "--storage", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("one", "denoise two", "1,234,567", "75 s")), shown
    assert main(["cache", "show", "--storage", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {entry["key"] for entry in told["entries"]} == {"one", "two"}
    assert told["bytes"] == sum(entry["bytes"] for entry in told["entries"]) > 0


def test_it_prunes_to_a_size(data: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(Storage(here=tmp_path), data, "one", "two")
    assert main(["cache", "prune", "--max-size", "1GB", "--storage", str(tmp_path)]) == 0
    assert "0 deleted" in capsys.readouterr().out
    assert main(["cache", "prune", "--max-size", "0", "--storage", str(tmp_path)]) == 0
    assert "2 deleted; the others hold 0.0 MB." in capsys.readouterr().out
    assert main(["cache", "show", "--storage", str(tmp_path)]) == 0
    assert "0.0 MB" in capsys.readouterr().out


def test_a_size_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "prune", "--max-size", "much", "--storage", str(tmp_path)]) == 2
    assert "'much' is no size; expected a number of bytes" in capsys.readouterr().err


def test_another_machine_finds_and_prunes_what_a_bucket_holds(
    bucket: str, data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = f"{bucket}/cached"
    kept(Storage.of(storage), data, "one")
    monkeypatch.setenv("RAYLAB_CACHE", str(tmp_path / "another machine"))
    elsewhere = StageCache(place=Storage.of(storage) / FOLDER)
    assert not (elsewhere.place.here / "one").exists()
    assert main(["cache", "show", "--storage", storage]) == 0
    assert "denoise one" in capsys.readouterr().out
    found = elsewhere.find(["one"], Parallel())
    assert found is not None and found.cost == COST and (found.folder / "model.safetensors").is_file()
    assert main(["cache", "prune", "--max-size", "0", "--storage", storage]) == 0
    assert "1 deleted" in capsys.readouterr().out
    assert elsewhere.place.entries() == [] and elsewhere.find(["one"], Parallel()) is None
