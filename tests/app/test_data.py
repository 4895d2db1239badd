"""`raylab data`: what it prints, and its exit code for each mistake."""

import argparse
import json
from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.app.data_options import add_data_arguments, request_from
from raylab.data.families.question_answering import DATASETS
from raylab.data.family import known
from raylab.data.source import DataRequest, builtin


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    fixture = DATASETS["triviaqa"].fixture()
    for name, rows in {
        **{f"triviaqa/{split}": rows for split, rows in fixture.rows.items()},
        "towns/all": fixture.passages,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_list(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--data-dir", str(data_dir)]) == 0
    printed = capsys.readouterr().out
    assert {"atlas", "nq_open", "webquestions", "wikipedia", "towns"} <= set(printed.split())
    assert f"local:{data_dir / 'triviaqa'}" in printed


def test_show(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "triviaqa", "--data-dir", str(data_dir), "--corpus", "towns"]) == 0
    printed = capsys.readouterr().out
    assert "questions: train 18, dev 9, test 9" in printed and "corpus: towns, 12 passages" in printed
    assert "note: 36 of 36 questions are answerable" in printed
    assert printed.count("example: ") == 3 and "-> Ansel (also River Ansel)" in printed


def test_validate(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "validate", "triviaqa", "--data-dir", str(data_dir)]) == 0
    assert main(["data", "validate", str(data_dir / "towns")]) == 0
    printed = capsys.readouterr().out
    assert "train 18, dev 9, test 9 questions" in printed and "12 passages, no mistake found" in printed


def test_show_says_family_measures_and_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": f"Soup {i}.", "label": ("bad", "good")[i % 2]} for i in range(60)]
    (tmp_path / "soups.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["data", "show", str(tmp_path / "soups.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "family: classification, measured by accuracy" in printed and "classes: 2: bad, good" in printed
    assert "corpus: soups's own text" in printed and printed.count("-> bad") + printed.count("-> good") == 3


@pytest.mark.parametrize("task", ["atlas_year", "atlas_choice", "atlas_span", "atlas_names", "atlas_title"])
def test_show_knows_every_kind_of_example(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", task, "--max-examples", "150"]) == 0
    assert capsys.readouterr().out.count("example: ") == 3


def test_a_folder_of_tasks_has_a_line_for_each(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "validate", str(data_dir)]) == 0
    assert capsys.readouterr().out.count("no mistake found") == 2
    (data_dir / "broken").mkdir()
    (data_dir / "broken" / "train.jsonl").write_text('{"text": "A.", "label": 1}\n{"text": "B."}\n')
    assert main(["data", "validate", str(data_dir)]) == 2
    told = capsys.readouterr()
    assert told.out.count("no mistake found") == 2 and "broken: MISTAKE: " in told.out and "line 2 has no `label`" in told.out
    assert "1 of 3 have a mistake: broken" in told.err and told.err.count("\n") == 1


def test_all_that_is_known_by_name_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "validate", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split(":")[0] for line in lines} == {*known(), *builtin()} and len(lines) == len({*known(), *builtin()})


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "trivaqa"], "Did you mean 'triviaqa'"),
        (["show", "triviaqa", "--source", "hub"], "HF_HUB_OFFLINE is set"),
        (["show", "triviaqa", "--max-examples", "0"], "--max-examples is 0"),
        (["show", "triviaqa", "--splits", "train"], "--splits 'train' is not of the form train=FILE"),
        (["show", "triviaqa", "--splits", "tset=a"], "Did you mean 'test'"),
        (["validate", "wikipedia"], "names no local files"),
        (["validate"], "takes either a NAME_OR_PATH, or --all"),
        (["validate", "rtee"], "Did you mean 'rte'"),
        (["validate", "./gone"], "there is nothing at ./gone"),
        (["list", "--data-dir", "gone"], "--data-dir gone is no folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", *argv]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_broken_file_is_named_with_its_line(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_dir / "triviaqa" / "dev.jsonl").write_text('{"question": "Who?", "answer": "me"}\n{"question": "Why?"}\n')
    assert main(["data", "validate", "triviaqa", "--data-dir", str(data_dir)]) == 2
    assert "dev.jsonl, line 2 has neither `answers" in capsys.readouterr().err


def test_options_make_a_request(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_data_arguments(parser)
    assert request_from(parser.parse_args([])) == DataRequest(dataset="triviaqa")
    argv = ["--dataset", "x", "--source", "local", "--data-dir", str(tmp_path), "--corpus", "c", "--no-answerable-only"]
    argv += ["--splits", "train=a.jsonl, test=b.csv", "--max-examples", "5", "--max-passages", "6"]
    assert request_from(parser.parse_args(argv)) == DataRequest(
        dataset="x", source="local", data_dir=tmp_path, corpus="c", splits={"train": "a.jsonl", "test": "b.csv"},
        answerable_only=False, max_examples=5, max_passages=6,
    )  # fmt: skip
