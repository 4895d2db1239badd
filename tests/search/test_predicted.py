"""What a study was predicted to cost, beside what it did, wherever a person looks for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.search import report
from raylab.search.ledger import Study
from raylab.search.predicted import capped, in_words, predicted
from tests.invented_study import InventedStudy

PART = {"runs": [2, 4], "tokens": [600_000, 1_200_000], "flops": [1e12, 2e12], "seconds": [10.0, 90.0]}
NONE = {"runs": [0, 0], "tokens": [0, 0], "flops": [0, 0], "seconds": [0, 0]}
PLAN: dict[str, Any] = {
    "parts": {"exploration": PART, "selection": NONE, "verdict": NONE}, "known": {"trials": 2, "tokens": 600_000},
    "tokens": [600_000, 1_200_000], "flops": [1e12, 2e12], "seconds": [10.0, 30.0], "disk_bytes": 1, "devices": 2, "price": 3.6,
    "usd": [0.02, 0.06],
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two trials that a cap ended, of a plan that held but for the time."""
    told = InventedStudy(tmp_path / "s")
    told._write("plan", plan=PLAN)
    told._write("limits", caps={"max_tokens": 700_000, "max_hours": None, "max_cost": None}, price=3.6, devices=2)
    list(told.explore(["finished", "finished"]))
    told._write("capped", phase="exploration", reason="--max-tokens 700,000 has no room for 300,000 more")
    told.close()
    return tmp_path / "s"


def test_every_figure_of_the_plan_has_its_actual_one(study: Path) -> None:
    rows = {row.name: row for row in predicted(Study.read(study))}
    assert (rows["exploration, runs"].actual, rows["exploration, tokens"].actual) == (2, 600_000)
    assert rows["exploration, runs"].held and rows["tokens"].held and not rows["operations"].held
    assert rows["time"].actual == Study.read(study).worked_s
    assert in_words(rows["tokens"]) == ("tokens", "600,000 to 1,200,000", "600,000")
    assert capped(Study.read(study)) == ["Exploration ended early: --max-tokens 700,000 has no room for 300,000 more."]


def test_a_study_without_a_plan_says_nothing(tmp_path: Path) -> None:
    InventedStudy(tmp_path / "s").close()
    assert predicted(Study.read(tmp_path / "s")) == []
    assert "What it cost" not in report.write(tmp_path / "s").read_text(encoding="utf-8")


def test_the_report_and_show_tell_both(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = report.write(study).read_text(encoding="utf-8")
    assert main(["show", "s", "--storage", str(study.parent)]) == 0
    printed = capsys.readouterr().out
    for text in (page, printed):
        assert "600,000 to 1,200,000" in text
        assert "Exploration ended early: --max-tokens 700,000 has no room for 300,000 more." in text
    assert main(["show", "s", "--storage", str(study.parent), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(told["capped"]) == {"exploration"}
    assert {row["name"] for row in told["predicted"]} >= {"tokens", "time", "cost"}
