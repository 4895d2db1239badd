"""Both sides of the bench on the atlas's invented passages, for a few steps; what they take is no matter here."""

import json
from dataclasses import replace
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.bench import training
from raylab.data import atlas
from raylab.data.task import TaskData

pytest.importorskip("accelerate", reason="transformers' Trainer needs accelerate")
ROW: dict[str, Any] = {
    "case": "tokens", "scale": "tiny", "ratio": 1.62, "ours": 571.2, "peer": 352.6, "loss_ours": 4.513, "loss_peer": 4.527,
    "loss_interval": [-0.06, 0.03], "loss_no_worse": True,
}  # fmt: skip
RESULT = {**ROW, "rounds": 3, "device": "cpu", "precision": "float32", "rows": [ROW]}


@pytest.fixture
def task() -> TaskData:
    """The invented passages, three times over, which fill a batch."""
    once = atlas.fixture()
    corpus = tuple(replace(passage, id=f"{passage.id} {time}") for time in range(3) for passage in once.corpus)
    return replace(once, corpus=corpus)


@pytest.mark.parametrize("case", training.CASES)
def test_both_sides_learn_a_case(
    case: str, task: TaskData, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(atlas, "load", lambda: task)
    main(["bench", "training", "--case", case, "--scale", "tiny", "--rounds", "2", "--steps", "12", "--json"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["ours"] > 0 and result["peer"] > 0 and result["ratio"] > 0
    assert 0 < result["loss_ours"] < 7.5 and 0 < result["loss_peer"] < 7.5  # a uniform guess: 7.55
    assert result["rows"][0]["steps"] == 12


def test_the_smallest_ratio_counts(capsys: pytest.CaptureFixture[str]) -> None:
    training.show(RESULT)
    out = capsys.readouterr().out
    assert all(figure in out for figure in ("RoBERTa", "571", "353", "1.62", "4.513", "4.527", "-0.06", "Met."))
    assert not training.met(RESULT | {"ratio": 1.4})
    assert not training.met(RESULT | {"loss_no_worse": False})


@pytest.mark.parametrize("options", [["--rounds", "1"], ["--steps", "3"]])
def test_counts_that_make_no_sense_are_told(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "training", *options]) == 2
    assert "expected no less" in capsys.readouterr().err
