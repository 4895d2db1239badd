"""list, show and export over invented studies."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.search.ledger import FILE, Study
from tests.invented_study import InventedStudy, whole_study


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two whole studies, the first with a model of its winner."""
    folder = tmp_path_factory.mktemp("runs")
    whole_study(folder / "alpha")
    whole_study(folder / "beta", warnings=("asked for triviaqa, read atlas",), seed=1)
    model = folder / "alpha" / "winner"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "t5"}')
    (model / "model.safetensors").write_bytes(b"weights")
    return folder


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def _mistake(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(list(argv)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def test_list_shows_what_was_read_not_what_was_asked_for(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "list", "--storage", str(storage))["studies"]
    assert [(s["name"], s["dataset"], s["source"], s["decision"]) for s in found] == [
        ("alpha", "atlas", "builtin:atlas", "better"),
        ("beta", "atlas", "builtin:atlas", "better"),
    ]
    assert found[0]["trials"] == {"finished": 10, "pruned": 2, "failed": 1, "diverged": 1, "cached": 1}
    assert found[0]["best"]["label"].startswith("salient")


def test_list_as_a_table(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--storage", str(storage)]) == 0
    out = capsys.readouterr().out
    assert "10 finished, 2 pruned" in out
    assert "bits per answer" in out


def test_list_of_an_empty_folder_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--storage", str(tmp_path / "none")]) == 0
    assert "No studies" in capsys.readouterr().out


def test_a_broken_ledger_does_not_hide_the_others(storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(storage / "alpha", tmp_path / "alpha")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE).write_text("{\n")
    rows = _json(capsys, "list", "--storage", str(tmp_path))["studies"]
    assert [row["name"] for row in rows] == ["alpha", "broken"]
    assert "line 1 is not JSON" in rows[1]["error"]


def test_show_tells_verdict_best_trials_and_failures(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "alpha", "--storage", str(storage)]) == 0
    out = capsys.readouterr().out
    assert "salient rate 0.3 takes 4.0 bits per answer less" in out
    assert "RuntimeError: <b>no & memory</b>" in out
    assert "loss 31.2 at step 9" in out
    found = _json(capsys, "show", "alpha", "--storage", str(storage))
    scores = [run["metrics"]["dev_bits_per_answer"] for run in found["top"]]
    assert scores == sorted(scores)
    assert {run["state"] for run in found["failures"]} == {"failed", "diverged"}


def test_show_of_a_study_without_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    InventedStudy(tmp_path / "young").close()
    assert main(["show", "young", "--storage", str(tmp_path)]) == 0
    assert "no verdict yet" in capsys.readouterr().out


def test_show_two_studies_tells_only_what_differs(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "show", "alpha", "beta", "--storage", str(storage))["differences"]
    assert found == [{"field": "data.warnings", "left": [], "right": ["asked for triviaqa, read atlas"]}]
    assert main(["show", "alpha", "alpha", "--storage", str(storage)]) == 0
    assert "do not differ" in capsys.readouterr().out


def test_show_runs_by_the_beginning_of_their_keys(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uniform, span, *_ = Study.read(storage / "alpha").of_role("explore")
    assert _json(capsys, "show", uniform.key[:8], "--storage", str(storage))["key"] == uniform.key
    found = _json(capsys, "show", uniform.key[:8], span.key, "--storage", str(storage))["differences"]
    policy = {d["field"]: (d["left"], d["right"]) for d in found}["recipe.stages.0.policy"]
    assert policy == ("uniform", "span")


def test_show_says_what_is_wrong(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--storage", str(storage))
    assert "Did you mean 'alpha'?" in _mistake(capsys, "show", "alpa", *at)
    assert "one name or two; got 3" in _mistake(capsys, "show", "a", "b", "c", *at)
    key = Study.read(storage / "alpha").of_role("explore")[0].key
    assert "a study and a run" in _mistake(capsys, "show", "alpha", key, *at)


def test_export_writes_the_model_and_all_that_remakes_it(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "exported"
    told = _json(capsys, "export", "alpha", "--to", str(target), "--storage", str(storage))
    names = {"config.json", "model.safetensors", "recipe.json", "data.json", "scores.json", "README.md"}
    assert {path.name for path in target.iterdir()} == names
    assert json.loads((target / "data.json").read_text())["fingerprint"] == "0011223344556677aabb"
    run = Study.read(storage / "alpha").runs[told["key"]]
    assert (run.role, run.replicate) == ("confirm", 1)
    assert json.loads((target / "recipe.json").read_text()) == run.recipe
    assert told["command"].startswith("raylab run recipe.json --seed 0 --replicate 1 --dataset triviaqa --source builtin")
    assert told["command"] in (target / "README.md").read_text()


def test_exported_scores_have_intervals(storage: Path, tmp_path: Path) -> None:
    assert main(["export", "alpha", "--to", str(tmp_path), "--storage", str(storage)]) == 0  # an empty folder will do
    scores = json.loads((tmp_path / "scores.json").read_text())
    figures = scores["test"]["bits_per_answer"]
    assert figures["low"] < figures["mean"] < figures["high"]
    assert figures["seeds"] == 3
    assert scores["verdict"]["decision"] == "better"


def test_export_refuses_what_it_cannot_do(storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--storage", str(storage))
    new = str(tmp_path / "new")
    assert "Did you mean 'alpha'?" in _mistake(capsys, "export", "alpah", "--to", new, *at)
    assert "no model" in _mistake(capsys, "export", "beta", "--to", new, *at)
    (tmp_path / "file").write_text("")
    assert "not empty" in _mistake(capsys, "export", "alpha", "--to", str(tmp_path), *at)
    assert "is a file" in _mistake(capsys, "export", "alpha", "--to", str(tmp_path / "file"), *at)
    assert "cannot be written" in _mistake(capsys, "export", "alpha", "--to", str(tmp_path / "file" / "below"), *at)
    InventedStudy(tmp_path / "young").close()
    assert "no winner" in _mistake(capsys, "export", "young", "--to", new, "--storage", str(tmp_path))
    assert not Path(new).exists()


def test_show_tells_what_the_machines_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = InventedStudy(tmp_path / "faulty")
    key = study.ask("explore", "uniform", 0.3, trial=0)
    study.start(key)
    lost = {"lane": 1, "attempt": 1, "position": 40, "reason": "worker 0: ActorDiedError: it was killed"}
    study._write("lost", key=key, **lost)
    study._write("notice", key=key, text="no checkpoint could be written: No space left on device")
    study.execute(key, "finished", 25.0)
    study.close()

    assert main(["show", "faulty", "--storage", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "lost attempts" in out and "No space left on device" in out
    found = _json(capsys, "show", "faulty", "--storage", str(tmp_path))
    assert [{k: loss[k] for k in ("key", *lost)} for loss in found["losses"]] == [{"key": key, **lost}]
    run = _json(capsys, "show", key, "--storage", str(tmp_path))
    assert run["losses"][0]["reason"] == lost["reason"] and len(run["notices"]) == 1
