"""A search in Python and from the command line, then another that continues it: for real, through lanes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

import raylab
from raylab.app.cli import main
from raylab.cluster.tracking import check_tracking, default_uri
from raylab.data.corpus import TEXTS
from raylab.search.ledger import FILE, Study
from raylab.storage import Storage

TINY = """
import raylab

base = raylab.Study(
    "masking", dataset="atlas", max_passages=400, policies=["uniform", "salient"], trials=2, seeds=2, lanes=1, name="base",
    storage={storage!r}, set={{"budget_tokens": 6_000, "finetune_steps": 5}}, quiet=True,
)
result = base.run()
assert result.verdict and len(result.table()) == len(result.study.runs)
assert base.name == "base" and base.run().verdict == result.verdict  # there is nothing left to do
more = raylab.Study(continues="base", trials="+1", policies="uniform,salient,span", storage={storage!r}, lanes=1, quiet=True)
print(more.run())
"""


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    done = subprocess.run(
        [sys.executable, "-c", TINY.format(storage=str(folder))], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "base-2: " in done.stdout
    return folder


def test_it_runs_what_is_new_alone(storage: Path) -> None:
    base, more = Study.read(storage / "base"), Study.read(storage / "base-2")
    explored = more.of_role("explore")
    assert [(run.trial, run.origin) for run in explored] == [(0, "base"), (1, "base"), (2, "")]
    assert explored[2].values["policy"] == "span"  # new in the space, so it is tried first
    assert more.parent is not None and more.parent["name"] == "base" and more.settings["trials"] == 3
    started = {run.key for run in more.runs.values() if not run.origin}
    assert not started & set(base.runs)
    assert more.environment["command"].startswith("raylab continue base --trials=+1")


def test_mlflow_holds_every_run_once(storage: Path) -> None:
    client = MlflowClient(default_uri(storage))
    rows = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000)
    keys = [row.data.tags["raylab.key"] for row in rows if "raylab.key" in row.data.tags]
    ledgers = [Study.read(storage / name) for name in ("base", "base-2")]
    assert sorted(keys) == sorted({key for study in ledgers for key in study.runs})
    (parent,) = {row.data.tags.get("raylab.parent_study") for row in rows} - {None}
    assert parent == "base"


def test_list_show_and_report_tell_it(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "--storage", str(storage)])
    assert "base-2, continues base" in capsys.readouterr().out
    main(["show", "base-2", "--storage", str(storage)])
    assert "Continues base: 2 trials" in capsys.readouterr().out
    assert "Continues base: 2 trials" in (storage / "base-2" / "report.html").read_text(encoding="utf-8")


def test_a_prior_is_planned(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (storage / "base" / FILE).read_bytes()
    argv = "search masking --dataset atlas --max-passages 300 --trials 4 --prior base --plan --set budget_tokens=6000 --lanes 1"
    assert main([*argv.split(), "--set", "finetune_steps=5", "--storage", str(storage)]) == 0
    assert "Tries first what base found best: 1 choice, similarity of data 0." in capsys.readouterr().out
    assert (storage / "base" / FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("base", "how many more trials? Give them, e.g. `raylab continue base --trials +20`"),
        ("base --trials +x", "--trials +x: expected +20 for so many more trials, or 32 for so many in all."),
        ("base --trials 1", "--trials 1: 2 of base are taken over already"),
        ("base --retry-failed", "--retry-failed: no trial of base has failed"),
        ("bas --trials +1", "unknown study 'bas'. Did you mean 'base'?"),
        ("base --trials +1 --policies whole_word", "the new space proposes none of its 2 recipes"),
        ("base --trials +1 --free learning_rate", "unknown choice for --free 'learning_rate'"),
        ("base --trials +1 --seed 3", "unknown option --seed"),
        ("base --trials +1 --seeds 1", "--seeds is 1; expected at least 2"),
        ("base --trials +1 --prior bass", "unknown study 'bass'. Did you mean 'base'?"),
        ("base --trials +1 --name base", "exists. Go on with it by --resume base"),
    ],
)
def test_bad_input_is_one_line(argv: str, words: str, storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_tracking(default_uri(storage))
    assert main(["continue", *argv.split(), "--storage", str(storage)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("raylab: ") and err.count("\n") == 1
    assert words in err


def test_changed_data_are_named(storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ledger of a study on other data of the same name."""
    told = (storage / "base" / FILE).read_text(encoding="utf-8")
    folder = tmp_path / "other"
    folder.mkdir()
    now = raylab.load("base", storage=storage).study.data
    changed = told.replace(now["fingerprint"], "0" * 20).replace('"passages":400', '"passages":401')
    (folder / FILE).write_text(changed, encoding="utf-8")
    assert main(["continue", "other", "--trials", "+1", "--storage", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "have changed since it was started: passages were 401, now 400; their fingerprint was 00000000000000000000" in err


def test_from_a_bucket_on_another_machine(storage: Path, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The parent's ledger, and the text that tells how similar data are, lie in the bucket alone."""
    there, base = Storage.of(bucket), raylab.load("base", storage=storage)
    ledger, fingerprint = (storage / "base" / FILE).read_bytes(), base.study.data["fingerprint"]
    (there / "base").write(FILE, ledger)
    (there / "data" / fingerprint).write(TEXTS, (storage / "data" / fingerprint / TEXTS).read_bytes())
    assert main(["continue", "base", "--trials", "+1", "--plan", "--lanes", "1", "--storage", bucket]) == 0
    out = capsys.readouterr().out
    assert "Study     base-2\n" in out and "Continues base: 2 trials" in out
    other = "search masking --dataset atlas --max-passages 300 --trials 4 --prior base --plan --set budget_tokens=6000 --lanes 1"
    shutil.rmtree(there.here / "data" / fingerprint)
    assert main([*other.split(), "--set", "finetune_steps=5", "--storage", bucket]) == 0
    assert "1 choice, similarity of data 0." in capsys.readouterr().out
    assert (there / "base").read(FILE) == ledger
    assert raylab.load("base", storage=bucket).verdict == base.verdict
