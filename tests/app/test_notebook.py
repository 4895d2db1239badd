"""raylab from Python: the options and checks of the command line, and results as Python has them."""

import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import raylab
from raylab.app import notebook
from raylab.app.console import console
from raylab.app.notebook import Result, Study
from tests.invented_study import InventedStudy, whole_study


def options(space: str | None = "masking", /, **given: Any) -> dict[str, Any]:
    """What a Study understood, as the commands' parser tells it."""
    return vars(Study(space, **given)._args)


def test_what_raylab_offers() -> None:
    assert {raylab.Study, raylab.Result, raylab.Cost} == {notebook.Study, notebook.Result, notebook.Cost}
    with pytest.raises(AttributeError, match="has no attribute 'Studi'"):
        raylab.Studi  # noqa: B018


def test_options_are_those_of_the_command() -> None:
    told = options(
        dataset="atlas", trials=4, set={"budget_tokens": 30_000, "policy": "span"}, policies=["span", "uniform"], quiet=True,
        splits={"train": "a.jsonl", "test": "b.jsonl"}, answerable_only=False, max_tokens=2e6, prior=["a", "b"],
        storage=Path("/tmp"), workers_per_lane=2, plugins="mine", name="mine",
    )  # fmt: skip
    assert (told["space"], told["dataset"], told["trials"], told["name"]) == ("masking", "atlas", 4, "mine")
    assert told["set"] == ["budget_tokens=30000", "policy=span"] and told["policies"] == "span,uniform"
    assert told["splits"] == {"train": "a.jsonl", "test": "b.jsonl"} and told["answerable_only"] is False
    assert (told["max_tokens"], told["prior"], told["plugins"]) == (2_000_000, ["a", "b"], [Path("mine")])
    assert told["quiet"] is True and str(told["storage"]) == "/tmp" and told["workers_per_lane"] == 2


def test_what_is_not_given_is_not_given() -> None:
    told = options(trials=None, quiet=False)
    assert (told["trials"], told["quiet"], told["answerable_only"], told["seeds"]) == (None, False, None, None)
    assert options(answerable_only=True)["answerable_only"] is True


def test_a_study_that_continues_another() -> None:
    told = options(None, continues="base", trials="+20", retry_failed=True, free=["learning_rate"])
    assert (told["parent"], told["more"].number, told["more"].more) == ("base", 20, True)
    assert told["retry_failed"] is True and told["free"] == ["learning_rate"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"trails": 3}, "unknown option 'trails'. Did you mean 'trials'?"),
        ({"trials": "few"}, "--trials.*'few'"),
        ({"resume": "a"}, "unknown option 'resume'"),
        ({"lanes": 0}, "--lanes is 0; expected a positive number"),
        ({"quiet": "yes"}, "quiet is 'yes'; expected True or False"),
        ({"source": "locl"}, "unknown --source 'locl'. Did you mean 'local'?"),
        ({"name": "a b"}, "--name 'a b' is no name"),
        ({"address": "ray://head:10001"}, "does not go through ray://"),
        ({"max_tokens": "some"}, "--max-tokens is 'some'"),
    ],
)
def test_mistakes_are_told_at_once(given: dict[str, Any], words: str) -> None:
    with pytest.raises(raylab.UserError, match=words):
        Study("masking", **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "how many more trials"),
        ({"trials": "+x"}, r"--trials \+x: expected \+20"),
        ({"trials": "+1", "seed": 3}, "unknown option 'seed'"),
        ({"trials": "+1", "space": "masking"}, "unknown option 'space'"),
    ],
)
def test_mistakes_of_a_study_that_continues_another(given: dict[str, Any], words: str) -> None:
    with pytest.raises(raylab.UserError, match=words):
        Study(continues="base", **given)


def test_nothing_to_search() -> None:
    with pytest.raises(raylab.UserError, match="no space to search"):
        Study()
    with pytest.raises(raylab.UserError, match="has its space"):
        Study("masking", continues="base", trials="+1")


def test_a_study_is_loaded_by_name(tmp_path: Path) -> None:
    whole_study(tmp_path / "s")
    result = raylab.load("s", storage=tmp_path)
    assert isinstance(result, Result)
    assert result.verdict is not None and result.verdict["decision"] == "better"
    assert repr(result) == f"s: {result.verdict['sentence']}"
    assert result.winner is not None and result.winner["stages"][0]["policy"]["name"] == "salient"
    assert result.report == tmp_path / "s" / "report.html"
    with pytest.raises(raylab.UserError, match="unknown study 't'"):
        raylab.load("t", storage=str(tmp_path))


def test_runs_are_a_table(tmp_path: Path) -> None:
    result = raylab.load("s", storage=whole_study(tmp_path / "s").parent)
    table = result.table()
    assert len(table) == len(result.study.runs) and set(table["key"]) == set(result.study.runs)
    assert {"role", "trial", "state", "score", "score_low", "score_high", "n_seeds", "test", "values.learning_rate"} <= set(table)
    assert table["score"].dropna().is_monotonic_increasing
    html = result._repr_html_()
    assert result.study.verdict is not None and "salient rate 0.3" in html and "<table" in html


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    InventedStudy(tmp_path / "s").close()
    result = raylab.load("s", storage=tmp_path)
    assert result.verdict is None and result.winner is None and len(result.table()) == 0
    assert "No verdict yet." in result._repr_html_()


def test_signals_are_left_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with notebook._signals_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_notebook_is_told_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its output says that it is a terminal."""
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    out = console()
    assert not out.is_terminal and not out.is_jupyter and out.width == 120
