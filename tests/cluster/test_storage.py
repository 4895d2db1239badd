"""Lanes and a bucket: a driver that is lost with its machine loses no run that had finished, and no checkpoint there."""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from raylab.cluster.attempt import COMPLETE, END_FILE
from raylab.cluster.runner import LaneRunner, Live, Placement
from raylab.data.prepared import Prepared
from raylab.search import studies
from raylab.search.ledger import FILE, Ledger, Study, read_events
from raylab.search.study import Request
from raylab.search.upkeep import MODEL, RUNS, WHOLE, WINNER, Upkeep, ended, whole_lines
from raylab.seeds import Seeds
from raylab.storage import Storage
from raylab.training.shelf import MANIFEST
from tests import tiny

SHORT, LONG = tiny.recipe(), tiny.recipe(pretrain_steps=400)


class DriverLostError(Exception):
    """Ends the driver in the middle of its work."""


@pytest.mark.long
def test_a_driver_lost_with_its_machine(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The winner's run has ended, which no ledger tells; a longer one is under way, with checkpoints in the bucket."""
    storage = Storage.of(f"{bucket}/raylab")
    data = tiny.prepared(storage.here)
    requests = [_request("done", SHORT, keep_model=True), _request("under-way", LONG)]
    with pytest.raises(DriverLostError):
        _run_until_lost(storage, data, requests)
    study = storage / "study"
    assert sorted(entry.name for entry in study.entries(RUNS)) == ["done", "under-way"]
    assert (study / RUNS).read(f"done/{END_FILE}") is not None
    assert b'"end"' not in (study.read(FILE) or b"")

    monkeypatch.setenv("RAYLAB_CACHE", str(tmp_path / "another machine"))
    elsewhere = Storage.of(f"{bucket}/raylab")
    data = tiny.prepared(elsewhere.here)
    folder = studies.find(elsewhere, "study")
    known, told = Study.read(folder), len(read_events(folder / FILE))
    assert not ended(known)
    with Upkeep(elsewhere / "study", ended(known)) as upkeep:
        _run(elsewhere, data, known, requests, upkeep)

    events = read_events(folder / FILE)
    assert sorted(e["key"] for e in events if e["event"] == "end") == ["done", "under-way"]
    assert {run.state for run in known.runs.values()} == {"finished"}
    assert not [e for e in events[told:] if e["event"] == "curve" and e["key"] == "done"], "what had finished was not run again"
    (restored,) = [e for e in events if e["event"] == "restored"]
    assert restored["key"] == "under-way" and restored["position"] > 0, "it went on from the bucket's checkpoint"
    again = elsewhere / "study"
    assert again.read(FILE) == whole_lines(folder / FILE)
    assert again.entries(RUNS) == [] and list((folder / RUNS).glob("*/*")) == []
    assert (folder / WINNER / WHOLE).is_file() and again.read(f"{WINNER}/{WHOLE}") is not None
    assert not [entry for entry in elsewhere.entries(recursive=True) if entry.name.endswith((".pkl", ".pickle", ".pt"))]


def _run_until_lost(storage: Storage, data: Prepared, requests: list[Request]) -> None:
    """Nothing looks after the bucket here, as if all that happened lay between two uploads of the ledger."""
    study = storage / "study"

    def lose(study_so_far: Study, live: Live) -> None:
        there = {entry.name for entry in study.entries(RUNS, recursive=True)}
        under_way = any(name.startswith("under-way/step_") and name.endswith(MANIFEST) for name in there)
        if under_way and {f"done/{END_FILE}", f"done/{MODEL}/{WHOLE}"} <= there:
            raise DriverLostError

    told = Study(name=f"study-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    study.here.mkdir(parents=True)
    with contextlib.closing(Ledger(study.here)) as ledger:
        ledger.append("study", name=told.name, settings={}, data={}, environment={})
        study.push(FILE)
    _run(storage, data, told, requests, Upkeep(study), lose)


def _run(
    storage: Storage, data: Prepared, study: Study, requests: list[Request], upkeep: Upkeep, on_change: Any = lambda *_: None
) -> None:
    storage.at(data.folder).push(last=COMPLETE, keyed=True)
    place = Placement(folder=storage.here / "study", storage=storage, lanes=1, checkpoint_every_s=0.1)
    with (
        contextlib.closing(Ledger(place.folder)) as ledger,
        LaneRunner(place, data.folder, study, ledger, on_change=on_change, upkeep=upkeep) as runner,
    ):
        for request in requests:  # in this order
            runner.run([request])


def _request(key: str, recipe: tiny.Recipe, keep_model: bool = False) -> Request:
    return Request(recipe=recipe, seeds=Seeds.of(0, 0), role="confirm", replicate=1, key=key, label=key, keep_model=keep_model)
