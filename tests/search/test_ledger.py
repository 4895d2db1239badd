"""The ledger: an event is on disk when it is written, a torn line is no line, and reading folds it all."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raylab.errors import Halted, UserError
from raylab.search.ledger import FILE, Ledger, Study, read_events

HEAD: dict[str, Any] = {"name": "s", "settings": {"trials": 2}, "data": {"source": "x"}, "environment": {"commit": "c"}}
ASKED: dict[str, Any] = {
    "role": "explore", "replicate": 0, "trial": 0, "recipe": {"task": "t"}, "values": {"policy": "span"}, "label": "span",
}  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path)
    ledger.append("study", **HEAD)
    return ledger


def ended(ledger: Ledger, key: str, state: str = "finished", **fields: Any) -> None:
    ledger.append("run", key=key, **ASKED)
    ledger.append("start", key=key, lane=0, attempt=1)
    ledger.append("end", key=key, state=state, **fields)


def test_what_is_written_is_read(ledger: Ledger, tmp_path: Path) -> None:
    ended(ledger, "a", metrics={"dev_f1": 0.5}, scores={"dev": {"f1": [0.5]}}, seconds={"total": 2.0}, error=None)
    study = Study.read(tmp_path)
    assert (study.name, study.settings, study.data, study.environment) == tuple(HEAD.values())
    run = study.runs["a"]
    assert (run.state, run.metrics, run.scores, run.seconds) == (
        "finished",
        {"dev_f1": 0.5},
        {"dev": {"f1": [0.5]}},
        {"total": 2.0},
    )
    assert (run.role, run.trial, run.values, run.label) == ("explore", 0, {"policy": "span"}, "span")
    assert run.started is not None and run.ended is not None and run.asked <= run.started <= run.ended <= study.updated


def test_events_applied_as_they_happen_give_what_is_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    events = [ledger.append("study", **HEAD), ledger.append("run", key="a", **ASKED), ledger.append("start", key="a")]
    live = Study.of(events)
    for event, fields in (
        ("curve", {"points": [{"step": 1, "loss": 2.0}]}),
        ("rung", {"fraction": 0.25, "metrics": {"dev_f1": 0.1}}),
        ("end", {"state": "pruned", "metrics": {}}),
    ):
        live.apply(ledger.append(event, key="a", **fields))
    live.apply(ledger.append("cached", key="a", trial=1))
    live.apply(ledger.append("verdict", verdict={"decision": "not_run"}))
    assert Study.read(tmp_path) == live
    assert live.counts() == {"finished": 0, "pruned": 1, "failed": 0, "diverged": 0, "cached": 1}
    assert live.runs["a"].metrics == {"dev_f1": 0.1}
    assert live.verdict == {"decision": "not_run"}


def test_lost_attempts_and_notices_stand_with_their_run(ledger: Ledger, tmp_path: Path) -> None:
    ended(ledger, "a", metrics={"dev_f1": 0.5})
    lost = {"lane": 1, "attempt": 1, "position": 40, "reason": "worker 0: killed"}
    ledger.append("worker", lane=1, rank=0, host="here", pid=7)
    ledger.append("lost", key="a", **lost)
    ledger.append("restored", key="a", attempt=2, position=30)
    ledger.append("notice", key="a", text="no checkpoint could be written")
    run = Study.read(tmp_path).runs["a"]
    assert [{name: loss[name] for name in lost} for loss in run.losses] == [lost]
    assert run.notices == ["no checkpoint could be written"]
    assert run.state == "finished", "a late word of a loss changes no end"


def test_a_line_is_on_disk_at_once(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append("interrupted")
    assert json.loads((tmp_path / FILE).read_text().splitlines()[-1])["event"] == "interrupted"


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_last_line_is_ignored_and_then_dropped(cut: int, ledger: Ledger, tmp_path: Path) -> None:
    ended(ledger, "a", metrics={"dev_f1": 0.5})
    ledger.close()
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-cut])
    assert Study.read(tmp_path).runs["a"].state == "running"
    again = Ledger(tmp_path)
    again.append("end", key="a", state="failed", error="late")
    assert Study.read(tmp_path).runs["a"].state == "failed"
    assert len(read_events(path)) == 4


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: the system writes what fits and then refuses, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("left", [0, 20, 100])
def test_a_full_disk_halts_and_leaves_whole_lines(left: int, ledger: Ledger, tmp_path: Path) -> None:
    ended(ledger, "a", metrics={"dev_f1": 0.5})
    path = tmp_path / FILE
    before = path.read_bytes()
    with room_for(len(before) + left):
        for _ in range(2):
            with pytest.raises(Halted, match=f"{path} cannot be written: "):
                ledger.append("run", key="b", **ASKED)
        assert path.read_bytes() == before
    ledger.append("run", key="b", **ASKED)  # there is room again
    assert list(Study.read(tmp_path).runs) == ["a", "b"]
    assert path.read_bytes().startswith(before)


def test_a_ledger_that_cannot_be_opened_halts(tmp_path: Path) -> None:
    with pytest.raises(Halted, match="cannot be written: No such file or directory"):
        Ledger(tmp_path / "gone")


def test_a_run_asked_for_twice_is_one(ledger: Ledger, tmp_path: Path) -> None:
    ended(ledger, "a")
    ledger.append("run", key="a", **{**ASKED, "trial": 9})
    study = Study.read(tmp_path)
    assert len(study.runs) == 1 and study.runs["a"].trial == 0 and study.runs["a"].state == "finished"


def test_a_study_that_goes_on_at_another_commit_names_both(ledger: Ledger, tmp_path: Path) -> None:
    for commit in ("c", "d", "d"):
        ledger.append("resumed", commit=commit)
    assert Study.read(tmp_path).environment["commit"] == "c, resumed at d"


def test_a_resumed_run_repeats_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """It goes on from a checkpoint: points and rungs that it passes a second time stand once."""
    ledger.append("run", key="a", **ASKED)
    for steps in ((10, 20, 30), (20, 30, 40)):
        ledger.append("start", key="a")
        ledger.append("curve", key="a", points=[{"step": step, "loss": 1.0} for step in steps])
        ledger.append("rung", key="a", fraction=0.25, metrics={"dev_f1": 0.1})
    run = Study.read(tmp_path).runs["a"]
    assert [point["step"] for point in run.curve] == [10, 20, 30, 40]
    assert [rung["fraction"] for rung in run.rungs] == [0.25]
    assert run.started == Study.read(tmp_path).runs["a"].started


def test_a_trial_is_cached_once(ledger: Ledger, tmp_path: Path) -> None:
    """One that lost its own process asks again."""
    ended(ledger, "a")
    for trial in (1, 1, 2):
        ledger.append("cached", key="a", trial=trial)
    assert Study.read(tmp_path).counts()["cached"] == 2


def test_roles_in_the_order_they_were_asked_for(ledger: Ledger, tmp_path: Path) -> None:
    for key, role in (("a", "explore"), ("b", "baseline"), ("c", "explore"), ("d", "confirm")):
        ledger.append("run", key=key, **{**ASKED, "role": role})
    study = Study.read(tmp_path)
    assert [run.key for run in study.of_role("explore")] == ["a", "c"]
    assert [run.key for run in study.of_role("confirm", "baseline")] == ["b", "d"]
    assert study.counts()["finished"] == 0  # they wait


def test_events_of_unknown_runs_and_kinds_are_passed_over(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append("end", key="nobody", state="finished")
    ledger.append("weather", key="nobody")
    assert Study.read(tmp_path).runs == {}


def test_what_is_no_number_is_not_written(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        ledger.append("end", key="a", metrics={"dev_f1": float("nan")})
    assert len(read_events(tmp_path / FILE)) == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no study at"),
        (b"", "the ledger is empty"),
        (b'{"event":"study"', "the ledger is empty"),  # stopped in its first line
        (b'{"event":"run","time":1,"key":"a"}\n', "does not begin with its study"),
        (b'{"event":"study","time":1,"name":"s","settings":{},"data":{},"environment":{}}\nnot json\n', "line 2 is not JSON"),
    ],
)
def test_what_is_no_ledger_is_told(content: bytes | None, told: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match=told) as raised:
        Study.read(tmp_path)
    assert "\n" not in str(raised.value)
