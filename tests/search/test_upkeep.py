"""A study in a bucket: one driver at a time, its ledger there before anything that the ledger tells of is deleted."""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylab.errors import UserError
from raylab.search import lease, studies
from raylab.search.lease import Lease, Pace
from raylab.search.ledger import FILE, Ledger
from raylab.search.upkeep import MODEL, RUNS, WHOLE, WINNER, Upkeep
from raylab.storage import Storage, StorageError

FAST = Pace(beat_s=0.1, watch_s=0.6, look_s=0.1, settle_s=0.05)


@pytest.fixture
def study(bucket: str) -> Storage:
    """A study's place, with a ledger of one line."""
    place = Storage.of(f"{bucket}/raylab/study")
    place.here.mkdir(parents=True)
    tell(place, "study")
    return place


def tell(place: Storage, event: str, **fields: Any) -> None:
    ledger = Ledger(place.here)
    ledger.append(event, **fields)
    ledger.close()


def until(condition: Callable[[], bool], limit_s: float = 300.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def held(place: Storage, **by: Any) -> None:
    """Somebody else's lease."""
    place.write(lease.FILE, json.dumps({"host": "elsewhere", "pid": 1, "id": "other", "beats": 1, **by}).encode())


# --- one driver -----------------------------------------------------------------------------------------------------


def test_a_lease_is_taken_kept_and_left(study: Storage) -> None:
    mine = Lease(study, FAST)
    mine.take()
    first = study.read(lease.FILE)
    time.sleep(FAST.beat_s)
    mine.keep()
    assert first != study.read(lease.FILE), "others see that it is renewed"
    mine.leave()
    assert study.read(lease.FILE) is None


def test_a_lease_that_is_renewed_is_refused(study: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    held(study)
    look, beats = Lease._read, iter(range(2, 100))

    def renewed(self: Lease) -> Any:
        held(study, beats=next(beats))
        return look(self)

    monkeypatch.setattr(Lease, "_read", renewed)
    told: list[str] = []
    with pytest.raises(UserError, match=r"is being run by process 1 on elsewhere\. Wait for it, or stop it first"):
        Lease(study, FAST).take(told.append)
    assert told and str(study) in told[0]


@pytest.mark.parametrize(
    ("by", "watched"),
    [({}, True), ({"host": socket.gethostname(), "pid": 2**22 + 1}, False)],
    ids=["of another machine", "of a process of this one"],
)
def test_a_lease_that_was_left_behind_is_taken_over(study: Storage, by: dict[str, Any], watched: bool) -> None:
    held(study, **by)
    told: list[str] = []
    mine = Lease(study, FAST)
    mine.take(told.append)
    assert bool(told) == watched
    assert json.loads(study.read(lease.FILE) or b"")["pid"] == os.getpid()


def test_what_is_no_lease_holds_nobody(study: Storage) -> None:
    study.write(lease.FILE, b"[not a lease")
    Lease(study, FAST).take()


def test_who_was_taken_over_stops_and_writes_nothing_more(study: Storage) -> None:
    with Upkeep(study, pace=FAST) as upkeep:
        held(study, id="third")
        until(lambda: upkeep._lost is not None)
        tell(study, "interrupted")
        with pytest.raises(UserError, match="was taken over by process 1 on elsewhere"):
            upkeep.check()
    assert json.loads(study.read(lease.FILE) or b"")["id"] == "third"
    assert b"interrupted" not in (study.read(FILE) or b"")


def test_a_folder_needs_no_lease(tmp_path: Path) -> None:
    mine = Lease(Storage.of(tmp_path), FAST)
    mine.take()
    mine.keep()
    mine.leave()
    assert list(tmp_path.iterdir()) == []


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_the_ledger_is_there_while_the_study_runs_and_whole_at_its_end(study: Storage) -> None:
    with Upkeep(study, pace=FAST):
        until(lambda: study.read(FILE) is not None)
        tell(study, "run", key="one")
        (study.here / "report.html").write_text("<p>all is well")
    assert study.read(FILE) == (study.here / FILE).read_bytes()
    assert study.read("report.html") == b"<p>all is well"
    assert study.read(lease.FILE) is None


def test_a_line_that_is_being_written_stays_here(study: Storage) -> None:
    whole = (study.here / FILE).read_bytes()
    with open(study.here / FILE, "ab") as ledger:
        ledger.write(b'{"event": "ru')
    with Upkeep(study, pace=FAST):
        pass
    assert study.read(FILE) == whole


def test_a_run_is_deleted_there_only_after_a_ledger_that_tells_its_end(study: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    study.write(f"{RUNS}/one/end.json", b"{}")
    done: list[str] = []
    write, delete = Storage.write, Storage.delete

    def noting(self: Storage, name: str, content: bytes) -> None:
        write(self, name, content)
        done.append(f"told {json.loads(content.splitlines()[-1])['event']}" if name == FILE else name)

    monkeypatch.setattr(Storage, "write", noting)
    monkeypatch.setattr(Storage, "delete", lambda self, name: (delete(self, name), done.append(f"deleted {name}")))
    with Upkeep(study, pace=FAST) as upkeep:
        tell(study, "end", key="one")
        upkeep.ended("one")
    assert "told end" in done[: done.index(f"deleted {RUNS}/one")]
    assert study.entries(RUNS) == []


def test_a_bucket_that_is_away_for_a_while_has_it_all_at_the_end(study: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Storage.write
    away: list[bool] = []

    def refuses(self: Storage, name: str, content: bytes) -> None:
        if name == FILE and len(away) < 2:
            away.append(True)
            raise StorageError("the bucket is away")
        write(self, name, content)

    monkeypatch.setattr(Storage, "write", refuses)
    with Upkeep(study, pace=FAST) as upkeep:
        until(lambda: len(away) == 1)
        tell(study, "end", key="one")
        upkeep.ended("one")
        until(lambda: len(away) == 2)
    assert upkeep.trouble == ""
    assert study.read(FILE) == (study.here / FILE).read_bytes()


def test_a_bucket_that_stays_away_is_told_in_one_line(study: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Storage.write

    def refuses(self: Storage, name: str, content: bytes) -> None:
        if name == FILE:
            raise StorageError("the bucket is away.")
        write(self, name, content)

    monkeypatch.setattr(Storage, "write", refuses)
    with Upkeep(study, pace=FAST) as upkeep:
        pass
    assert upkeep.trouble.startswith("the bucket is away. The last of this study is in ")
    assert "raylab report study --storage" in upkeep.trouble and "\n" not in upkeep.trouble


@pytest.mark.parametrize("trained", ["here", "elsewhere"])
def test_the_winners_model_stays(study: Storage, trained: str) -> None:
    run = study / RUNS / "one"
    for name in ("weights", WHOLE):
        if trained == "here":
            (run.here / MODEL).mkdir(parents=True, exist_ok=True)
            (run.here / MODEL / name).write_text(name)
        else:
            run.write(f"{MODEL}/{name}", name.encode())
    with Upkeep(study, over=["one"], pace=FAST):
        pass
    assert sorted(path.name for path in (study.here / WINNER).iterdir()) == sorted(["weights", WHOLE])
    assert sorted(entry.name for entry in study.entries(WINNER)) == sorted(["weights", WHOLE])
    assert study.entries(RUNS) == [] and not run.here.exists()


# --- on another machine ---------------------------------------------------------------------------------------------


def test_a_study_is_found_and_brought(study: Storage) -> None:
    with Upkeep(study, pace=FAST):
        pass
    told = (study.here / FILE).read_bytes()
    shutil.rmtree(study.parent.here)
    assert [path.name for path in studies.folders(study.parent)] == ["study"]
    assert studies.find(study.parent, "study") == study.here
    assert (study.here / FILE).read_bytes() == told
    with pytest.raises(UserError, match=r"unknown study 'stdy'\. Did you mean 'study'"):
        studies.find(study.parent, "stdy")


def test_a_ledger_that_is_further_here_stays(study: Storage) -> None:
    study.push(FILE)
    tell(study, "resumed")
    told = (study.here / FILE).read_bytes()
    studies.bring(study)
    assert (study.here / FILE).read_bytes() == told


def test_a_ledger_that_went_another_way_is_set_aside(study: Storage) -> None:
    began = (study.here / FILE).read_bytes()
    tell(study, "interrupted")
    here = (study.here / FILE).read_bytes()
    study.write(FILE, began + b'{"event": "resumed", "time": 2.0}\n')
    studies.bring(study)
    assert (study.here / FILE).read_bytes() == study.read(FILE)
    (aside,) = study.here.glob("ledger-aside-*.jsonl")
    assert aside.read_bytes() == here


def test_a_study_that_others_went_on_with_meanwhile_is_not_run(study: Storage) -> None:
    study.write(FILE, (study.here / FILE).read_bytes() + b'{"event": "resumed", "time": 2.0}\n')
    with pytest.raises(UserError, match=r"went on elsewhere meanwhile\. Resume it again"), Upkeep(study, pace=FAST):
        pass
