"""A search through real processes: killed, on a full disk, resumed, interrupted, and with trials stopped on the way."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from mlflow import MlflowClient

from raylab.search.ledger import ENDED, FILE, Study, read_events

DATA = ("--dataset", "atlas", "--max-passages", "400")
TINY = (*DATA, "--lanes", "2", "--policies", "uniform,salient", "--set", "finetune_steps=20")


def _command(storage: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "raylab.search", *more, "--storage", str(storage), "--json"]


def _started(storage: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(_command(storage, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wait_until(process: subprocess.Popen[str], ledger: Path, condition: Any, limit_s: float = 240) -> None:
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        assert process.poll() is None, f"the search ended by itself:\n{process.communicate()[0]}"
        if ledger.exists() and condition([e["event"] for e in read_events(ledger)]):
            return
        time.sleep(0.2)
    pytest.fail("the search did not get as far as it should")


def _outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    outcome: dict[str, Any] = json.loads(output.splitlines()[-1])
    return outcome


def test_killed_then_out_of_room_and_resumed(tmp_path: Path) -> None:
    ledger = tmp_path / "study" / FILE
    new = ("masking", *TINY, "--trials", "4", "--seeds", "2", "--set", "budget_tokens=30000", "--name", "study")
    for arguments, ends, stop in ((new, 1, _kill), (("--resume", "study"), 3, _fill_up)):
        process = _started(tmp_path, *arguments)
        _wait_until(process, ledger, lambda events, ends=ends: events.count("end") >= ends and events[-1] != "end")
        stop(process, ledger)
    finished = {key for key, run in Study.read(ledger.parent).runs.items() if run.state in ENDED}
    outcome = _outcome(_started(tmp_path, "--resume", "study"))

    events = read_events(ledger)
    ended = [e["key"] for e in events if e["event"] == "end"]
    assert len(ended) == len(set(ended)), "a run ended twice"
    last_resumed = max(i for i, e in enumerate(events) if e["event"] == "resumed")
    assert not {e["key"] for e in events[last_resumed:] if e["event"] == "start"} & finished, "a finished run ran again"
    assert sum(outcome["trials"].values()) == 4
    assert outcome["verdict"]["decision"] in ("better", "worse", "no_reliable_difference")
    _check_mlflow(outcome, Study.read(ledger.parent))


def _kill(process: subprocess.Popen[str], ledger: Path) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def _fill_up(process: subprocess.Popen[str], ledger: Path) -> None:
    """The ledger can grow by a line or two, as on a disk that is almost full; the search says so in one line and ends."""
    if not hasattr(psutil.Process, "rlimit"):  # only Linux limits another process
        return _kill(process, ledger)
    size = (ledger.stat().st_size + 300, resource.RLIM_INFINITY)
    psutil.Process(process.pid).rlimit(resource.RLIMIT_FSIZE, size)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    (line,) = (line for line in output.splitlines() if line.startswith("raylab: "))
    assert f"{ledger} cannot be written: " in line and "search --resume study" in line
    assert ledger.read_bytes().endswith(b"\n"), "the line that it could not finish is gone"
    return None


def _check_mlflow(outcome: dict[str, Any], study: Study) -> None:
    """Every run exactly once, in its true state, and none left running."""
    rows = _rows(outcome)
    keys = [row.data.tags["raylab.key"] for row in rows if "raylab.key" in row.data.tags]
    assert sorted(keys) == sorted(study.runs)
    assert {row.info.status for row in rows} == {"FINISHED"}


def _rows(outcome: dict[str, Any]) -> list[Any]:
    client = MlflowClient(outcome["tracking_uri"])
    experiment = client.get_run(outcome["run_id"]).info.experiment_id
    return list(client.search_runs([experiment], max_results=1000))


def test_interrupted(tmp_path: Path) -> None:
    process = _started(tmp_path, "masking", *TINY, "--trials", "30", "--set", "budget_tokens=30000", "--name", "study")
    _wait_until(process, tmp_path / "study" / FILE, lambda events: "rung" in events)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "--resume study" in output
    assert json.loads(output.splitlines()[-1])["verdict"]["decision"] == "not_run"
    assert (tmp_path / "study" / "report.html").exists()


BROKEN = """
from dataclasses import dataclass

from raylab.masking.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken(Policy):
    def draw(self, passages, rng, progress):
        raise ArithmeticError("this policy cannot count")
"""


def test_a_run_that_raises_is_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    policies = tmp_path / "mine" / "masking" / "policies"
    policies.mkdir(parents=True)
    (policies / "broken.py").write_text(BROKEN)
    tiny = (*TINY, "--set", "budget_tokens=6000", "--trials", "2", "--seeds", "2", "--name", "study")
    process = _started(tmp_path, "masking", *tiny, "--policies", "broken,uniform", "--plugins", str(tmp_path / "mine"))
    outcome = _outcome(process)

    study = Study.read(tmp_path / "study")
    broken = next(run for run in study.runs.values() if run.values.get("policy") == "broken")
    assert outcome["trials"] == {"finished": 1, "pruned": 0, "failed": 1, "diverged": 0, "cached": 0}
    assert broken.state == "failed"
    assert "this policy cannot count" in (broken.error or "")
    assert outcome["verdict"]["decision"] == "not_run"  # the winner is the baseline itself
    row = next(r for r in _rows(outcome) if r.data.tags.get("raylab.key") == broken.key)
    assert row.info.status == "FAILED"
