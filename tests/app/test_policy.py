"""`raylab policy`, through the command's main function."""

import json
from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.masking.policy import Policy
from tests.masking.learned import planted


def test_list_names_every_policy_with_its_knobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in Policy.registry.names()) and "rate=0.15" in told


def test_show_marks_what_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    text = "Lake Orvane froze in 1831, when Ada Quill crossed it."
    assert main(["policy", "show", "salient", "--text", text, "--draws", "4", "--set", "spans=2"]) == 0
    draws = capsys.readouterr().out.splitlines()[1:]
    assert len(draws) == 4
    assert all(draw.replace("[", "").replace("]", "") == text and draw.count("[") == 2 for draw in draws)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "spam"], "Did you mean 'span'?"),
        (["show", "span", "--set", "rte=0.3"], "Did you mean 'rate'?"),
        (["show", "span", "--set", "rate"], "FIELD=VALUE"),
        (["show", "span", "--set", "rate=3"], "between 0 and 1"),
        (["show", "span", "--set", "rate=high"], "expected float"),
        (["show", "span", "--draws", "0"], "at least 1"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_a_policy_is_learned_listed_shown_and_exported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data, storage, to = tmp_path / "data" / "mayors", tmp_path / "runs", tmp_path / "card"
    data.mkdir(parents=True)
    made = planted.task()
    for split, questions in made.splits.items():
        rows = [{"question": q.question, "answers": list(q.answers)} for q in questions]
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = tmp_path / "data" / "towns"
    corpus.mkdir()
    (corpus / "all.jsonl").write_text("".join(json.dumps({"title": p.title, "text": p.text}) + "\n" for p in made.corpus))
    named = ["--dataset", "mayors", "--data-dir", str(tmp_path / "data"), "--corpus", "towns", "--storage", str(storage)]
    settings = ["--set", "width=16", "--set", "layers=1", "--set", "epochs=14", "--set", "batch_size=16"]
    assert main(["policy", "learn", "supervised", *named, *settings, "--to", str(to), "--json"]) == 0
    told = capsys.readouterr().out
    result = json.loads(told.splitlines()[-1])
    assert result["evidence"]["dev recall at 5"]["value"] > 0.8 and "tokens/s" in told and "Cost" in told
    assert main(["policy", "list", "--storage", str(storage)]) == 0
    assert result["key"] in capsys.readouterr().out
    text = made.corpus[0].text
    assert main(["policy", "show", str(to), "--text", text, "--draws", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.replace("[", "").replace("]", "") == text and shown.count("[") == 1
    assert main(["policy", "export", result["key"], "--to", str(tmp_path / "other"), "--storage", str(storage)]) == 0
    assert (tmp_path / "other" / "policy.json").read_text() == (to / "policy.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["learn", "supervised", "--set", "widht=8"], "Did you mean 'width'?"),
        (["learn", "supervised", "--set", "width=0", "--dataset", "atlas"], "expected at least 1"),
        (["learn", "unsupervised"], "Did you mean 'supervised'?"),
        (["learn", "supervised", "--start", "here"], "begins anew"),
        (["learn", "meta", "--start", "nowhere"], "holds no masking policy"),
        (["export", "nothing", "--to", "there"], "unknown policy 'nothing'"),
    ],
)
def test_a_mistake_in_learning_is_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["policy", *arguments, "--storage", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
