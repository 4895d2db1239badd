"""A search through real processes: killed, on a full disk, interrupted, and resumed each time, with a recipe that raises."""

import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from mlflow import MlflowClient

from raylab.search.ledger import ENDED, FILE, Study, read_events

pytestmark = pytest.mark.long  # on every change, the bench chaos kills the same processes in a shorter search

TRIALS = 5
SEARCH = (
    "masking", "--name", "study", "--dataset", "atlas", "--max-passages", "400", "--policies", "broken,uniform,salient",
    "--set", "finetune_steps=10", "--set", "budget_tokens=20000", "--trials", str(TRIALS), "--seeds", "2", "--scheduler", "asha",
)  # fmt: skip
GO_ON = ("--resume", "study")
BROKEN = """
from dataclasses import dataclass

from raylab.masking.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken(Policy):
    def draw(self, passages, rng, progress):
        raise ArithmeticError("this policy cannot count")
"""
GIVE_UP_S = 1200.0  # far more than it takes: a failure says what did not happen


@dataclass(kw_only=True, slots=True)
class Stopped:
    """A command that was stopped on its way: how it ended, what it printed, which runs had ended by then."""

    returncode: int
    output: str
    ended: set[str]


@dataclass(kw_only=True, slots=True)
class Story:
    """A study that was stopped three times: how each command ended, by what stopped it, and what the last one told."""

    folder: Path
    stops: dict[str, Stopped] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        return self.folder / FILE

    @property
    def study(self) -> Study:
        return Study.read(self.folder)

    def rows(self) -> list[Any]:
        """What MLflow holds."""
        client = MlflowClient(self.outcome["tracking_uri"])
        experiment = client.get_run(self.outcome["run_id"]).info.experiment_id
        return list(client.search_runs([experiment], max_results=1000))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A start of Ray takes many seconds, so that all tests look at the same four commands."""
    storage = tmp_path_factory.mktemp("survives")
    policies = storage / "mine" / "masking" / "policies"
    policies.mkdir(parents=True)
    (policies / "broken.py").write_text(BROKEN)
    told = Story(folder=storage / "study")
    for name, (arguments, ends, stop) in STOPS.items():
        with _started(storage, *arguments) as process:
            _wait_until(process, told.ledger, ends)
            stop(process, told.ledger)
            output, _ = process.communicate(timeout=GIVE_UP_S)
        ended = {key for key, run in told.study.runs.items() if run.state in ENDED}
        told.stops[name] = Stopped(returncode=process.returncode, output=output, ended=ended)
    with _started(storage, *GO_ON) as process:
        output, _ = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 0, output
    told.outcome = json.loads(output.splitlines()[-1])
    return told


@contextlib.contextmanager
def _started(storage: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    where = ("--storage", str(storage), "--plugins", str(storage / "mine"), "--lanes", "1", "--json")
    command = [sys.executable, "-m", "raylab.search", *more, *where]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()


def _wait_until(process: subprocess.Popen[str], ledger: Path, ends: int) -> None:
    """Until so many runs ended, and another one trains."""
    began = time.monotonic()
    while time.monotonic() - began < GIVE_UP_S:
        assert process.poll() is None, f"the search ended by itself:\n{process.communicate()[0]}"
        events = [event["event"] for event in read_events(ledger)] if ledger.exists() else []
        if events.count("end") >= ends and events[-1] == "curve":
            return
        time.sleep(0.1)
    pytest.fail("the search did not get as far as it should")


def _kill(process: subprocess.Popen[str], ledger: Path) -> None:
    process.kill()


def _interrupt(process: subprocess.Popen[str], ledger: Path) -> None:
    process.send_signal(signal.SIGINT)


def _fill_up(process: subprocess.Popen[str], ledger: Path) -> None:
    """The ledger can grow by a line or two, as on a disk that is almost full."""
    size = (ledger.stat().st_size + 300, resource.RLIM_INFINITY)
    psutil.Process(process.pid).rlimit(resource.RLIMIT_FSIZE, size)


Stop = Callable[[subprocess.Popen[str], Path], None]
STOPS: dict[str, tuple[tuple[str, ...], int, Stop]] = {"killed": (SEARCH, 1, _kill), "interrupted": (GO_ON, 2, _interrupt)}
if hasattr(psutil.Process, "rlimit"):  # only Linux limits another process
    STOPS["full disk"] = (GO_ON, 3, _fill_up)


def test_nothing_is_lost_and_nothing_runs_twice(story: Story) -> None:
    events = read_events(story.ledger)
    ended = [event["key"] for event in events if event["event"] == "end"]
    assert len(ended) == len(set(ended)) == len(story.study.runs), "a run ended twice, or never"
    resumed = [number for number, event in enumerate(events) if event["event"] == "resumed"]
    assert len(resumed) == len(STOPS)
    for begun, stop in zip(resumed, story.stops.values(), strict=True):
        assert stop.ended
        assert not {event["key"] for event in events[begun:] if event["event"] == "start"} & stop.ended, "an ended run ran again"
    assert sum(story.outcome["trials"].values()) == TRIALS
    assert story.outcome["verdict"]["decision"] in ("better", "worse", "no_reliable_difference")


def test_mlflow_shows_every_run_once_in_its_true_state(story: Story) -> None:
    rows, study = story.rows(), story.study
    assert sorted(row.data.tags["raylab.key"] for row in rows if "raylab.key" in row.data.tags) == sorted(study.runs)
    for row in rows:
        run = study.runs.get(row.data.tags.get("raylab.key", ""))
        assert row.info.status == ("FAILED" if run is not None and run.state == "failed" else "FINISHED")


def test_an_interrupted_search_says_how_to_go_on(story: Story) -> None:
    stop = story.stops["interrupted"]
    assert stop.returncode == 130, stop.output
    assert "--resume study" in stop.output
    assert json.loads(stop.output.splitlines()[-1])["verdict"]["decision"] == "not_run"
    assert (story.folder / "report.html").exists()


@pytest.mark.skipif("full disk" not in STOPS, reason="only Linux limits another process")
def test_a_full_disk_is_told_in_one_line(story: Story) -> None:
    stop = story.stops["full disk"]
    assert stop.returncode == 1, stop.output
    assert "Traceback" not in stop.output
    (line,) = (line for line in stop.output.splitlines() if line.startswith("raylab: "))
    assert f"{story.ledger} cannot be written: " in line and "search --resume study" in line


def test_a_killed_search_told_nothing_more(story: Story) -> None:
    assert story.stops["killed"].returncode == -signal.SIGKILL


def test_a_recipe_that_raises_is_recorded_and_the_search_goes_on(story: Story) -> None:
    broken = next(run for run in story.study.runs.values() if run.values.get("policy") == "broken")
    assert broken.state == "failed" and not broken.losses
    assert "this policy cannot count" in (broken.error or "")
    assert story.outcome["trials"]["failed"] >= 1
