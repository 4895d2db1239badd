"""`raylab data`: what it prints, and its exit code for each mistake."""

import argparse
import json
from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.app.data_options import add_data_arguments, request_from
from raylab.data.families.question_answering import DATASETS
from raylab.data.source import DataRequest


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


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["show", "trivaqa"], "Did you mean 'triviaqa'"),
        (["show", "triviaqa", "--source", "hub"], "HF_HUB_OFFLINE is set"),
        (["show", "triviaqa", "--max-examples", "0"], "--max-examples is 0"),
        (["show", "triviaqa", "--splits", "train"], "--splits 'train' is not of the form train=FILE"),
        (["show", "triviaqa", "--splits", "tset=a"], "Did you mean 'test'"),
        (["validate", "triviaqa"], "names no local files"),
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
