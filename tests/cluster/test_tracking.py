"""MLflow holds what the ledger tells: each run once, in a true state, whatever happens to server and driver."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raylab.cluster import tracking_rows as rows
from raylab.cluster.tracking import Mirror, check_tracking, default_uri, replay
from raylab.cluster.tracking_server import Server, free_port
from raylab.cluster.tracking_store import client
from raylab.errors import UserError
from raylab.search.flat import flatten
from raylab.search.ledger import FILE, Study
from tests.invented_study import TRACEBACK, InventedStudy, whole_study


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole study, mirrored into a store that wasn't there before."""
    folder = whole_study(tmp_path_factory.mktemp("storage") / "demo", warnings=("not triviaqa",))
    (folder / "report.html").write_text("<p>the report")
    assert replay(folder, default_uri(folder.parent)).complete
    return folder


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables; making them takes longer than any test, a copy does not."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client(f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture
def study(tmp_path: Path, empty_store: Path) -> Iterator[InventedStudy]:
    """A study that has just begun, beside an empty store."""
    invented = InventedStudy(tmp_path / "demo")
    for name in ("mlflow", "server", "elsewhere"):
        shutil.copy(empty_store, tmp_path / f"{name}.db")
    yield invented
    invented.close()


def everything(uri: str) -> list[Any]:
    """All runs of a store."""
    found = client(uri)
    experiments = [e.experiment_id for e in found.search_experiments()]
    return list(found.search_runs(experiments, max_results=1000))


def rows_in(uri: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every metric row of every run, by run id."""
    found, histories = client(uri), {}
    for run in everything(uri):
        names = run.data.metrics
        histories[run.info.run_id] = sorted(
            (m.key, m.timestamp, m.step, m.value) for n in names for m in found.get_metric_history(run.info.run_id, n)
        )
    return histories


def statuses(uri: str) -> Counter[str]:
    return Counter(run.info.status for run in everything(uri))


def by_role(uri: str, role: str) -> list[Any]:
    return [run for run in everything(uri) if run.data.tags["raylab.role"] == role]


def until(true: Callable[[], Any], patience_s: float = 300.0) -> None:
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.2)


def test_each_run_is_a_child_of_the_study(whole: Path) -> None:
    uri = default_uri(whole.parent)
    (study,) = by_role(uri, "study")
    children = [run for run in everything(uri) if run.data.tags.get("mlflow.parentRunId") == study.info.run_id]
    assert sorted(run.data.tags["raylab.key"] for run in children) == sorted(Study.read(whole).runs)
    assert study.info.run_name == "demo" and study.info.status == "FINISHED"
    assert study.data.tags["data.source"] == "builtin:atlas" and "not triviaqa" in study.data.tags["mlflow.note.content"]


def test_states_are_true(whole: Path) -> None:
    uri = default_uri(whole.parent)
    states = Counter((run.info.status, run.data.tags["raylab.state"]) for run in by_role(uri, "explore"))
    assert states == {("FINISHED", "finished"): 10, ("FINISHED", "pruned"): 2, ("FAILED", "diverged"): 1, ("FAILED", "failed"): 1}
    assert len(by_role(uri, "confirm")) == 3 and len(by_role(uri, "baseline")) == 6


def test_a_failed_run_carries_its_traceback(whole: Path, tmp_path: Path) -> None:
    uri = default_uri(whole.parent)
    (failed,) = (run for run in everything(uri) if run.data.tags["raylab.state"] == "failed")
    assert failed.data.tags["raylab.error"] == "RuntimeError: <b>no & memory</b>"
    path = client(uri).download_artifacts(failed.info.run_id, "traceback.txt", str(tmp_path))
    assert Path(path).read_text() == TRACEBACK


def test_only_finished_runs_have_a_score(whole: Path) -> None:
    ledger = Study.read(whole)
    for run in (run for run in everything(default_uri(whole.parent)) if "raylab.key" in run.data.tags):
        known = ledger.runs[run.data.tags["raylab.key"]]
        assert run.data.metrics.get("score") == (known.metrics["dev_bits_per_answer"] if known.state == "finished" else None)


def test_times_are_the_ledgers(whole: Path) -> None:
    ledger = Study.read(whole)
    for run in by_role(default_uri(whole.parent), "confirm"):
        known = ledger.runs[run.data.tags["raylab.key"]]
        assert (run.info.start_time, run.info.end_time) == (known.started * 1000, known.ended * 1000)


def test_the_report_and_each_recipe_are_artifacts(whole: Path) -> None:
    uri = default_uri(whole.parent)
    (study,), (confirm, *_) = by_role(uri, "study"), by_role(uri, "confirm")
    assert [file.path for file in client(uri).list_artifacts(study.info.run_id)] == ["report.html"]
    assert [file.path for file in client(uri).list_artifacts(confirm.info.run_id)] == ["recipe.json"]
    assert list((whole.parent / "artifacts").rglob("report.html"))


def test_replaying_adds_nothing(whole: Path) -> None:
    uri = default_uri(whole.parent)
    before = rows_in(uri)
    assert [replay(whole, uri).complete for _ in range(3)] == [True] * 3
    assert rows_in(uri) == before and len(before) == 24


def test_replaying_what_was_half_sent_adds_nothing(whole: Path) -> None:
    """A driver that was killed before it ended a row sends all of it again."""
    uri = default_uri(whole.parent)
    before = rows_in(uri)
    for run in everything(uri):
        client(uri).update_run(run.info.run_id, status="RUNNING")
    assert replay(whole, uri).complete
    assert rows_in(uri) == before and "RUNNING" not in statuses(uri)


def test_studies_of_one_name_do_not_mix(study: InventedStudy) -> None:
    uri = default_uri(study.folder.parent)
    namesake = InventedStudy(study.folder.parent / "elsewhere" / "demo", began=study.now + 100)
    for one in (study, namesake):
        list(one.explore(["finished"]))
        assert replay(one.folder, uri).complete
    assert [run.info.run_name for run in by_role(uri, "study")] == ["demo", "demo"] and len(by_role(uri, "explore")) == 2


def test_a_run_shows_while_it_runs(study: InventedStudy) -> None:
    uri = default_uri(study.folder.parent)
    mirror = Mirror(study.folder, uri, poll_s=0.05)
    mirror.start()
    key = study.ask("explore", "span", 0.3, trial=0)
    study.ask("explore", "span", 0.4, trial=1)
    study.start(key)
    until(lambda: mirror.run_id and not mirror.unsent and len(everything(uri)) == 2)  # the waiting one isn't there
    assert statuses(uri) == {"RUNNING": 2}
    flush = mirror.close(30)
    assert flush.complete and flush.line == "" and statuses(uri) == {"KILLED": 2}


def test_an_interrupted_study_goes_on_in_the_same_rows(study: InventedStudy) -> None:
    uri = default_uri(study.folder.parent)
    list(study.explore(["finished"]))
    key = study.ask("explore", "span", 0.3, trial=1)
    study.start(key)
    study.interrupt()
    assert replay(study.folder, uri).complete and statuses(uri) == {"FINISHED": 1, "KILLED": 2}
    study.execute(key, "finished", 20.0)
    arms = study.confirm()
    study.conclude(arms)
    assert replay(study.folder, uri).complete
    assert statuses(uri) == {"FINISHED": 1 + 2 + 9}
    assert Counter(run.data.tags.get("raylab.key") for run in everything(uri)).most_common(1)[0][1] == 1


def test_a_torn_last_line_is_waited_for(study: InventedStudy) -> None:
    uri = default_uri(study.folder.parent)
    list(study.explore(["finished"]))
    with open(study.folder / FILE, "ab") as ledger:
        ledger.write(b'{"event": "run", "key": "torn')
    assert replay(study.folder, uri).complete and len(everything(uri)) == 2


def test_one_process_at_a_time(study: InventedStudy) -> None:
    uri = default_uri(study.folder.parent)
    first = Mirror(study.folder, uri, poll_s=0.05)
    first.start()
    until(lambda: first.run_id)
    second = replay(study.folder, uri)
    assert not second.complete and "another process" in second.line
    list(study.explore(["finished"] * 3))
    assert first.close(30).complete and len(everything(uri)) == 4


def test_a_run_created_twice_by_a_lost_answer_is_shown_once(study: InventedStudy) -> None:
    uri = default_uri(study.folder.parent)
    list(study.explore(["finished"]))
    replay(study.folder, uri)
    (run,) = by_role(uri, "explore")
    client(uri).create_run(run.info.experiment_id, run.info.start_time + 1, dict(run.data.tags))
    assert replay(study.folder, uri).complete and len(by_role(uri, "explore")) == 1


def test_what_mlflow_refuses_does_not_hold_up_the_rest(study: InventedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = default_uri(study.folder.parent)
    list(study.explore(["finished"] * 3))
    normal = rows.run_params
    monkeypatch.setattr(rows, "run_params", lambda run: {"bad\nname?": "x"} if run.trial == 1 else normal(run))
    flush = replay(study.folder, uri)
    assert flush.unsent == 1 and "trial 1" in flush.line and "raylab report" in flush.line
    assert statuses(uri) == {"FINISHED": 3, "KILLED": 1}  # the study has no verdict
    monkeypatch.setattr(rows, "run_params", normal)
    assert replay(study.folder, uri).complete


def test_long_and_odd_values_fit(study: InventedStudy) -> None:
    run = next(iter(Study.read(whole_study(study.folder.parent / "long")).runs.values()))
    run.recipe = {"text": "x" * 10_000, "odd name?": [1, 2], "none": None}
    params = rows.run_params(run)
    assert len(params["text"]) == rows.MAX_PARAM and params["odd name_"] == "1, 2" and "none" not in params


def test_an_outage_delays_nobody_and_loses_nothing(study: InventedStudy, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'server.db'}"
    server = Server(store, tmp_path / "served", free_port(None), tmp_path / "server.log")
    with server:
        mirror = Mirror(study.folder, server.url, poll_s=0.05)
        mirror.start()
        trials = study.explore(["finished", "failed", "pruned", "finished", "diverged"])
        next(trials), next(trials)
        before = {"FINISHED": 1, "FAILED": 1, "RUNNING": 1}
        until(lambda: statuses(store) == before and not mirror.unsent)
        server.stop()
        rest = list(trials)
        until(lambda: mirror.trouble)
        flush = mirror.close(3)
        assert not flush.complete and flush.unsent == len(rest) == 3
        assert server.url in flush.line and "refused" in flush.line and "\n" not in flush.line
        assert statuses(store) == before  # the study runs, until somebody can tell it
        server.start()
        (study.folder / "report.html").write_text("<p>the report")
        assert [replay(study.folder, server.url).complete for _ in range(2)] == [True, True]
        assert list((tmp_path / "served").rglob("report.html"))
    assert statuses(store) == {"FINISHED": 3, "FAILED": 2, "KILLED": 1}
    assert rows_in(store) == _as_if_never_away(study, tmp_path, store)


def _as_if_never_away(study: InventedStudy, tmp_path: Path, uri: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the same ledger sent at once elsewhere, under the run ids they have at `uri`."""
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert replay(study.folder, elsewhere, tmp_path / "elsewhere").complete
    ids = {run.data.tags.get("raylab.key"): run.info.run_id for run in everything(uri)}
    renamed = {run.info.run_id: ids[run.data.tags.get("raylab.key")] for run in everything(elsewhere)}
    return {renamed[run_id]: history for run_id, history in rows_in(elsewhere).items()}


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "file:/somewhere", "mlruns", "sqlite:////proc/no/such/mlflow.db"])
def test_a_store_that_can_not_be_used_is_one_line(uri: str) -> None:
    with pytest.raises(UserError) as error:
        check_tracking(uri)
    assert uri in str(error.value) and "\n" not in str(error.value)


def test_the_default_store_lies_beside_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert default_uri(tmp_path) == "http://tracking:5000"


def test_flatten_reads_like_a_path() -> None:
    recipe = {"stages": [{"name": "denoise", "policy": {"name": "span", "rate": 0.3}}], "task": "t", "sizes": [1, 2]}
    assert dict(flatten(recipe)) == {
        "stages.0": "denoise", "stages.0.policy": "span", "stages.0.policy.rate": 0.3, "task": "t", "sizes": [1, 2],
    }  # fmt: skip
