"""Eight studies' results arrive at one MLflow server at once, over PostgreSQL and over SQLite: none missing, none twice.

PostgreSQL is Debian's, started here in a temporary folder on a loopback port; without it its tests are skipped.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from raylab.cluster import tracking_rows as rows
from raylab.cluster.tracking import Mirror, check_tracking, replay
from raylab.cluster.tracking_server import HOST, Server, free_port
from raylab.cluster.tracking_store import client
from raylab.search.ledger import Study
from tests.invented_study import InventedStudy

STUDIES = 8
STATES = ["finished", "failed", "pruned"]
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URI of an empty PostgreSQL database; gone afterwards. It names the driver: the default one changes with SQLAlchemy."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: pip install -e '.[dev]'")
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="raylab-pg-")))  # short: it holds a socket
        if as_user():
            shutil.chown(home, "nobody")
        port, data, binary = free_port(None), home / "data", BINARIES[-1].parent
        run([*as_user(), str(binary / "initdb"), "--pgdata", str(data), "--username", "raylab", "--auth", "trust", "--no-sync"])
        options = f"-p {port} -k {home} -c listen_addresses={HOST} -c fsync=off"
        control = [*as_user(), str(binary / "pg_ctl"), "--pgdata", str(data)]
        run([*control, "--log", str(home / "log"), "--options", options, "--wait", "start"])
        stack.callback(run, [*control, "--mode", "immediate", "stop"])
        yield f"postgresql+psycopg2://raylab@{HOST}:{port}/postgres"


def as_user() -> list[str]:
    """What makes a command run as somebody else than root, for whom PostgreSQL refuses to start."""
    return ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []


def run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running MLflow server."""
    home = tmp_path_factory.mktemp(request.param)
    store = request.getfixturevalue("postgres") if request.param == "postgresql" else f"sqlite:///{home / 'mlflow.db'}"
    with Server(store, home / "artifacts", free_port(None), home / "server.log") as server:
        check_tracking(server.url)
        yield server.url


@pytest.fixture(scope="module")
def arrived(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of eight studies that were written and mirrored at the same time, by name."""
    folders = {f"study-{i}": tmp_path_factory.mktemp("studies") / f"study-{i}" for i in range(STUDIES)}
    begin = threading.Barrier(STUDIES)
    failures: list[BaseException] = []

    def search(number: int, folder: Path) -> None:
        try:
            study = InventedStudy(folder, seed=number, began=1_700_000_000.0 + number)
            mirror = Mirror(folder, server, poll_s=0.05)
            begin.wait(300)
            mirror.start()
            list(study.explore(STATES))
            study.conclude(study.confirm(seeds=1))
            study.close()
            flush = mirror.close(timeout_s=240)
            assert flush.complete, flush.line
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search, args=each) for each in enumerate(folders.values())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not failures
    return folders


def everything(uri: str) -> list[Any]:
    """All runs of a store."""
    found = client(uri)
    return list(found.search_runs([e.experiment_id for e in found.search_experiments()], max_results=1000))


def histories(uri: str, runs: list[Any]) -> dict[str, list[tuple[Any, ...]]]:
    """Every metric row of these runs, by run key."""
    found, told = client(uri), {}
    for run in runs:
        points = [point for name in run.data.metrics for point in found.get_metric_history(run.info.run_id, name)]
        told[run.data.tags["raylab.key"]] = sorted((p.key, p.timestamp, p.step, p.value) for p in points)
    return told


def test_every_run_is_there_once_in_its_true_state(server: str, arrived: dict[str, Path]) -> None:
    runs = everything(server)
    assert Counter(run.data.tags["raylab.role"] for run in runs)["study"] == STUDIES
    shown = Counter(
        (run.data.tags["raylab.study"], key, run.data.tags["raylab.state"], run.info.status)
        for run in runs
        if (key := run.data.tags.get("raylab.key"))
    )
    expected = Counter(
        (name, run.key, run.state, rows.STATUS[run.state])
        for name, folder in arrived.items()
        for run in Study.read(folder).runs.values()
    )
    assert shown == expected
    assert set(shown.values()) == {1}


def test_one_experiment_holds_them_all(server: str, arrived: dict[str, Path]) -> None:
    names = [e.name for e in client(server).search_experiments() if e.name != "Default"]
    assert names == [rows.experiment_name(Study.read(next(iter(arrived.values()))))]


def test_no_point_of_a_curve_is_missing_or_doubled_and_replaying_adds_none(server: str, arrived: dict[str, Path]) -> None:
    name, folder = next(iter(arrived.items()))
    runs = [r for r in everything(server) if r.data.tags["raylab.study"] == name and "raylab.key" in r.data.tags]
    before = histories(server, runs)
    for key, run in Study.read(folder).runs.items():
        sent = Counter((name, time) for name, time, *_ in before[key])
        curve = {(f"{p['stage']}/loss", round(1000 * p["time"])) for p in run.curve}
        assert len(curve) == 10 and all(sent[point] == 1 for point in curve)
    count = len(everything(server))
    assert replay(folder, server).complete
    assert histories(server, runs) == before and len(everything(server)) == count
