"""Whatever a person gets wrong is one clear line and exit code 2, before any compute and without a study left behind."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from raylab.app import opening, search
from raylab.app.cli import Parser, main
from raylab.cluster import tracking, tracking_store
from raylab.data.families.question_answering import DATASETS
from raylab.data.rows import Row
from raylab.errors import UserError
from raylab.search.ledger import Ledger
from raylab.search.studies import folders
from raylab.storage import Storage

Refuse = Callable[..., str]
GIB = 2**30


def _write(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _data(folder: Path) -> Path:
    """The datasets `triviaqa` and corpus `towns`, invented."""
    fixture = DATASETS["triviaqa"].fixture()
    for split, rows in fixture.rows.items():
        _write(folder / "triviaqa" / f"{split}.jsonl", rows)
    _write(folder / "towns" / "all.jsonl", fixture.passages)
    return folder


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder. MLflow's tables are made once: that takes seconds."""
    folder = tmp_path_factory.mktemp("results")
    tracking.check_tracking(tracking.default_uri(folder))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return _data(tmp_path / "data")


@pytest.fixture(autouse=True)
def no_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("Ray was started for a search that cannot run")

    monkeypatch.setattr(ray, "init", start)


@pytest.fixture
def refuse(storage: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Refuse]:
    """Runs `raylab search` with these arguments; checks that it refuses in one line with all of these words, and returns it."""
    before = folders(Storage.of(storage))

    def run(argv: str, *words: str, more: tuple[str, ...] = ()) -> str:
        chosen = () if "--storage" in more else ("--storage", str(storage))
        assert main(["search", *argv.split(), *more, *chosen]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("raylab: ") and err.count("\n") == 1, err
        missing = [word for word in words if word not in err]
        assert not missing, f"{missing} not in: {err}"
        return err

    yield run
    assert folders(Storage.of(storage)) == before
    assert {path.name for path in storage.iterdir()} <= {"data", "mlflow.db", "mlflow.db.lock", *(f.name for f in before)}


# --- what was asked for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("", ["no space to search", "raylab search masking"]),
        ("maskin", ["unknown space 'maskin'", "Did you mean 'masking'?"]),
        ("masking --dataset triviqa", ["unknown dataset 'triviqa'", "Did you mean 'triviaqa'?"]),
        ("masking --dataset ./nowhere", ["nothing at ./nowhere", "train.jsonl"]),
        ("masking --policies salient,spn", ["unknown masking policy 'spn'", "Did you mean 'span'?"]),
        ("masking --policies ,", ["unknown masking policy ''"]),
        ("masking --set salient.spanz=2", ["unknown choice for --set 'salient.spanz'", "Did you mean 'salient.spans'?"]),
        ("masking --set salient.spans=90", ["unknown value of salient.spans '90'", "Expected one of: 1, 2, 4"]),
        ("masking --set policy=uniforn", ["unknown value of policy 'uniforn'", "Did you mean 'uniform'?"]),
        ("masking --set learning_rate", ["--set 'learning_rate' is not of the form KEY=VALUE"]),
        ("masking --set learning_rate=fast", ["learning_rate is 'fast'", "expected a number"]),
        ("masking --scale tinny", ["unknown --scale 'tinny'", "Did you mean 'tiny'?"]),
        ("masking --family t6", ["unknown --family 't6'", "Did you mean 't5'?"]),
        ("masking --precision bfloat", ["unknown --precision 'bfloat'", "Did you mean 'bfloat16'?"]),
        ("masking --metric exact", ["unknown --metric 'exact'", "Did you mean 'exact_match'?"]),
        ("masking --scheduler asah", ["unknown --scheduler 'asah'", "Did you mean 'asha'?"]),
        ("masking --source locl", ["unknown --source 'locl'", "Did you mean 'local'?"]),
        ("masking --splits train", ["--splits 'train' is not of the form"]),
        ("masking --trails 3", ["unknown option --trails", "Did you mean --trials?", "raylab search --help"]),
        ("masking --trials few", ["--trials", "'few'"]),
        ("masking --space-file mine.py", ["mine.py is no file"]),
        ("masking --plugins nowhere", ["--plugins nowhere is no folder"]),
        ("masking --data-dir nowhere", ["nowhere is no folder", "--data-dir"]),
    ],
)
def test_unknown_names(refuse: Refuse, argv: str, words: list[str]) -> None:
    refuse(argv, *words)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--trials 0", "--trials is 0; expected at least 1"),
        ("--trials -3", "--trials is -3; expected at least 1"),
        ("--seeds 1", "--seeds is 1; expected at least 2"),
        ("--max-hours 0", "--max-hours is 0; expected a positive number of hours"),
        ("--max-tokens -60", "--max-tokens is -60; expected a positive number of corpus tokens"),
        ("--max-tokens some", "--max-tokens is 'some'; expected a whole number of corpus tokens"),
        ("--max-cost 5", "--max-cost needs --price"),
        ("--max-cost 5 --price nan", "--price is nan; expected a positive number of USD"),
        ("--checkpoint-every 0", "--checkpoint-every is 0; expected a positive number"),
        ("--hang-after nan", "--hang-after is nan; expected a positive number"),
        ("--sampler lists", "unknown --sampler 'lists'. Did you mean 'list'?"),
        ("--set budget_tokens=0", "--set budget_tokens=0: expected a positive whole number"),
        ("--set budget_tokens=-1000", "--set budget_tokens=-1000: expected a positive whole number"),
        ("--set budget_tokens=1e-3", "--set budget_tokens=1e-3: expected a positive whole number"),
        ("--set finetune_steps=0", "--set finetune_steps=0: expected a positive whole number"),
        ("--set batch_size=many", "--set batch_size=many: expected a positive whole number"),
        ("--max-examples 0", "--max-examples is 0; expected 1 or more"),
        ("--max-passages -1", "--max-passages is -1; expected 1 or more"),
        ("--lanes 0", "--lanes is 0; expected a positive number"),
        ("--workers-per-lane 0", "--workers-per-lane is '0'; expected a positive number"),
        ("--workers-per-lane 4:2", "--workers-per-lane is 4:2; expected the fewest workers first, e.g. 2:4"),
        ("--workers-per-lane 1:2", "--workers-per-lane 1:2 is for a cluster"),
        ("--runs-per-lane 0", "--runs-per-lane is 0; expected a positive number"),
        ("--runs-per-lane 2 --workers-per-lane 2", "--runs-per-lane 2 is for lanes of one worker"),
        ("--gpus-per-worker -1", "--gpus-per-worker is -1; expected 0 or more"),
    ],
)
def test_budgets_and_counts_are_positive(refuse: Refuse, option: str, words: str) -> None:
    refuse(f"masking {option}", words)


# --- the machine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("mixture --target atlas_year --sources atlas_yaer", ["unknown dataset 'atlas_yaer'", "Did you mean 'atlas_year'?"]),
        ("mixture --target atlas_year --sources atlas_year", ["is the target itself", "--allow-target-in-sources"]),
        ("mixture --target atlas_year --sources atlas_title", ["asks for answers in words, which an encoder does not write"]),
        ("mixture --target atlas_year --sources ,", ["--sources names no task"]),
        ("masking --sources atlas_year", ["the space masking learns no other tasks first"]),
    ],
)
def test_tasks_that_cannot_be_learned_before(refuse: Refuse, argv: str, words: list[str]) -> None:
    refuse(argv, *words)


@pytest.mark.parametrize("option", ["--lanes 1000", "--workers-per-lane 1000", "--lanes 40 --workers-per-lane 25"])
def test_more_workers_than_the_machine_has(refuse: Refuse, option: str) -> None:
    refuse(f"masking {option}", "do not fit", "has room for", "--address")


def test_gpus_where_there_are_none(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "gpus_here", lambda: 0)
    refuse("masking --gpus-per-worker 1", "--gpus-per-worker is 1", "this machine has no GPU")


# --- files ----------------------------------------------------------------------------------------------------------

GOOD = {"question": "What is the capital of Merrin?", "answers": ["Ostrava Bay"], "passage": "Ostrava Bay is Merrin's capital."}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.jsonl", json.dumps(GOOD) + '\n{"question": "What\n', ["train.jsonl, line 2", "is not JSON"]),
        ("train.jsonl", json.dumps(GOOD) + "\n\n[1]\n", ["train.jsonl, line 3", "expected a JSON object"]),
        ("train.csv", "question,answer,passage\na,b,c\na,b\n", ["train.csv, line 3", "another number of cells than the header"]),
        ("train.json", '{"questions": 1}', ["train.json", "expected a list of objects"]),
        ("train.jsonl", json.dumps({**GOOD, "answers": "Ostrava"}), ["train.jsonl, line 1", "expected a list of texts"]),
        ("train.jsonl", json.dumps({**GOOD, "answers": []}), ["train.jsonl, line 1", "answers is []"]),
        ("train.jsonl", json.dumps({**GOOD, "answers": ["a", ""]}), ["train.jsonl, line 1", "none empty"]),
        ("train.jsonl", json.dumps({**GOOD, "question": " "}), ["train.jsonl, line 1", "question is ' '", "not empty"]),
        ("train.jsonl", json.dumps({"answers": ["a"], "passage": "b"}), ["line 1 has no `question`", "got answers, passage"]),
        ("train.jsonl", json.dumps({"question": "a"}), ["line 1 has neither `answers` nor `answer`"]),
        ("train.jsonl", json.dumps({**GOOD, "answer_start": 3}), ["line 1", "at answer_start 3", "expected the answer"]),
        ("train.jsonl", "\n", ["no readable row"]),
        ("train.parquet", "not parquet", ["train.parquet cannot be read as parquet"]),
        ("train.md", "# notes", ["no file"]),
    ],
)
def test_files(refuse: Refuse, tmp_path: Path, name: str, content: str, words: list[str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text(content, encoding="utf-8")
    refuse("masking", *words, str(folder), more=("--dataset", str(folder)))


def test_a_file_that_was_cut_short(refuse: Refuse, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "train.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(json.dumps(GOOD).encode() * 100)[:-20])
    refuse("masking", str(path), "Is the file whole", more=("--dataset", str(path.parent)))


def test_questions_without_a_corpus(refuse: Refuse, data: Path) -> None:
    refuse("masking --dataset triviaqa", "needs a corpus", "towns", more=("--data-dir", str(data)))


def test_an_unknown_corpus(refuse: Refuse, data: Path) -> None:
    refuse("masking --dataset triviaqa --corpus twons", "unknown corpus 'twons'", "'towns'", more=("--data-dir", str(data)))


def test_a_corpus_smaller_than_a_batch(refuse: Refuse, data: Path) -> None:
    told = "the corpus has 12 passages, which do not fill one batch of 32", "--corpus", "--set batch_size=12"
    refuse("masking --dataset triviaqa --corpus towns --policies uniform", *told, more=("--data-dir", str(data)))


def test_a_base_model_without_weights(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
    refuse("masking", str(tmp_path), "holds no weights", "save_pretrained", more=("--base", str(tmp_path)))


def test_a_base_model_that_is_not_there(refuse: Refuse, tmp_path: Path) -> None:
    refuse("masking", "no model at", "config.json", more=("--base", str(tmp_path / "nowhere")))


# --- where results go -----------------------------------------------------------------------------------------------


def test_a_results_folder_that_is_a_file(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    refuse("masking", "cannot write to", "--storage", more=("--storage", str(tmp_path / "results")))
    refuse("masking", "cannot write to", "--storage", more=("--storage", str(tmp_path / "results" / "below")))


def test_a_full_disk(refuse: Refuse, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(GIB, GIB - 1000, 1000))
    argv = "masking --dataset triviaqa --corpus towns --set batch_size=6"
    line = refuse(argv, "has 0.00 GB free", more=("--data-dir", str(data)))
    assert "needs about" in line and "--storage" in line


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "two words", "data", "artifacts"])
def test_names_that_are_no_names(refuse: Refuse, name: str) -> None:
    refuse("masking", f"--name {name!r} is no name for a study", "e.g. my-study", more=("--name", name))


# --- tracking -------------------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which connections are taken, and never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_tracking_server_that_is_not_there(refuse: Refuse, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: nobody else takes it, and nobody answers
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        refuse("masking", f"MLflow at {uri} does not answer", "refused", "unset MLFLOW_TRACKING_URI")


def test_a_tracking_server_that_never_answers(refuse: Refuse, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_store, "HTTP_TIMEOUT_S", 1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # so that it is put back
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    refuse("masking", f"MLflow at http://127.0.0.1:{port} does not answer", "unset MLFLOW_TRACKING_URI")


def test_a_tracking_uri_that_is_none(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:///tmp/mlruns")
    refuse("masking", "'file:///tmp/mlruns'", "expected a server", "sqlite:///")


def test_a_search_that_goes_on_does_so_without_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both may have been lost with one machine; what the server lacks it is sent once it is back."""
    monkeypatch.setattr(tracking, "client", lambda uri: pytest.fail(f"{uri} was asked"))
    tracking.check_tracking("http://127.0.0.1:1", must_answer=False)
    with pytest.raises(UserError, match="expected a server"):
        tracking.check_tracking("file:///tmp/mlruns", must_answer=False)


# --- resume ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def started(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A study that stopped before its first trial, and the folder of its data."""
    folder = _data(tmp_path_factory.mktemp("data"))
    parser = Parser(prog="raylab search")
    search.configure(parser)
    places = ["--data-dir", str(folder), "--corpus", "towns", "--storage", str(storage)]
    options = "--dataset triviaqa --trials 4 --policies uniform,span --set batch_size=6 --name begun"
    args = parser.parse_args(["masking", *options.split(), *places])
    args.argv = []
    study = opening.open_study(args).conduct.study
    (storage / study.name).mkdir()
    ledger = Ledger(storage / study.name)
    ledger.append("study", name=study.name, settings=study.settings, data=study.data, environment=study.environment)
    ledger.close()
    return study.name, folder


def test_a_study_that_does_not_exist(refuse: Refuse, started: tuple[str, Path], storage: Path) -> None:
    refuse("--resume begum", "unknown study 'begum'", "Did you mean 'begun'?", str(storage))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--trials 8", ["trials was 4, now 8"]),
        (
            "--policies uniform,salient --seed 7",
            ["seed was 0, now 7", "policies was ['uniform', 'span'], now ['uniform', 'salient']"],
        ),
        ("--scale small", ["scale was 'tiny', now 'small'"]),
        ("--set budget_tokens=1000", ["set was ['batch_size=6'], now ['budget_tokens=1000']"]),
        ("--dataset nq_open", ["dataset was 'triviaqa', now 'nq_open'"]),
    ],
)
def test_other_settings_on_resume(refuse: Refuse, started: tuple[str, Path], options: str, words: list[str]) -> None:
    refuse(f"--resume begun {options}", "begun was started with other settings", *words)


def test_another_name_on_resume(refuse: Refuse, started: tuple[str, Path]) -> None:
    refuse("--resume begun --name other", "--resume goes on under the study's own name")


def test_two_studies_of_one_name(refuse: Refuse, started: tuple[str, Path]) -> None:
    refuse("masking --name begun", "begun exists", "--resume begun")


def test_data_that_changed(refuse: Refuse, started: tuple[str, Path]) -> None:
    _, folder = started
    with open(folder / "towns" / "all.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"title": "Zend", "text": "Zend is a town that was not there before."}) + "\n")
    refuse("--resume begun", "the data of begun", "have changed since it was started", "fingerprint")


# --- for real -------------------------------------------------------------------------------------------------------


def test_a_mistake_in_a_real_process(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "raylab.search", "masking", "--policies", "salint"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("raylab: unknown masking policy 'salint'. Did you mean 'salient'?")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
