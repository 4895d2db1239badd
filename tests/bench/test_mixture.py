"""What the bench measures, at the smallest size, and its words; the figures themselves are `raylab.bench mixture`'s."""

from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.bench import mixture


def test_a_start_is_measured_from_files_to_the_first_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYLAB_CACHE", str(tmp_path / "cache"))
    mixture._write(tmp_path / "tasks", 3, 100)
    told = mixture._start(tmp_path / "tasks")
    assert told["seconds"] > 0 and told["disk_mb"] > 0
    data = mixture._prepared(tmp_path / "tasks")
    assert (data.task, list(data.sources)) == ("task00", ["task01", "task02", "task03"])
    assert mixture._examples_a_second(data, ("task02", "task03"), mixture.WARM_STEPS + 1, 0) > 0


def test_its_goals_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    good = {
        "tasks": 30, "examples": 1000, "rounds": 5, "many": 475.0, "one": 490.0, "ratio": 0.97, "cold_start_s": 7.0,
        "start_s": 0.7, "memory_mb": 6.0, "memory_growth_mb": 1.8, "disk_growth_mb": 27.0,
    }  # fmt: skip
    assert mixture.met(good)
    assert not any(mixture.met({**good, **bad}) for bad in ({"ratio": 0.8}, {"start_s": 6.0}, {"memory_growth_mb": 9.0}))
    mixture.show(good)
    assert "Goal: at most 10% of it. Met." in " ".join(capsys.readouterr().out.split())


def test_too_little_to_measure_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "mixture", "--tasks", "1"]) == 2
    assert "--tasks from 2" in capsys.readouterr().err
