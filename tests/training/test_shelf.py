"""Checkpoints in a bucket: a run goes on where another machine left it, from the newest that is whole."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.storage import Storage, StorageError
from raylab.training.progress import Notice, Result
from raylab.training.shelf import KEEP, MANIFEST
from raylab.trial import Execution, run_recipe
from tests import tiny

STEPS, STOP = 8, 5


@pytest.fixture
def place(bucket: str) -> Storage:
    return Storage.of(f"{bucket}/study/runs/key")


@pytest.fixture(scope="module")
def straight(data: Prepared) -> tiny.Trace:
    """The run without a stop, its losses read at every step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raylab.training.loop.READ_EVERY", 1)
        return tiny.traced(the_recipe(), data)


@pytest.fixture
def begun(place: Storage, data: Prepared) -> Storage:
    """A run that stopped twice, each time with a checkpoint taken there, after STOP steps in all; and its machine is gone."""
    for steps in (2, STOP - 2):  # while one is on its way others are passed over, so how many there are is a matter of speed
        tiny.traced(the_recipe(), data, stop_after=steps, folder=place, checkpoint_every_s=0.0)
    shutil.rmtree(place.here)
    return place


def the_recipe() -> tiny.Recipe:
    return tiny.recipe(pretrain_steps=STEPS)


def checkpoints(place: Storage) -> list[str]:
    return sorted(entry.name for entry in place.entries() if entry.is_folder)


def goes_on(straight: tiny.Trace, data: Prepared, place: Storage) -> int:
    """Run it to its end, which is that of the run without a stop; the first step that was done."""
    trace = tiny.traced(the_recipe(), data, folder=place, checkpoint_every_s=3600.0)
    first = trace.steps[0].position
    assert trace.losses == straight.losses[first - 1 :]
    assert trace.result is not None and straight.result is not None
    assert tiny.numbers(trace.result) == tiny.numbers(straight.result)
    return first


def test_another_machine_goes_on(begun: Storage, straight: tiny.Trace, data: Prepared) -> None:
    kept = checkpoints(begun)
    assert 0 < len(kept) <= KEEP
    assert goes_on(straight, data, begun) > 1


def test_one_that_was_half_taken_there_is_passed_over(begun: Storage, straight: tiny.Trace, data: Prepared) -> None:
    older, newest = checkpoints(begun)
    begun.delete(f"{newest}/{MANIFEST}")
    assert goes_on(straight, data, begun) > 1
    begun.delete(f"{older}/{MANIFEST}")
    shutil.rmtree(begun.here)
    assert goes_on(straight, data, begun) == 1, "nothing is whole"


def test_one_that_was_cut_short_there_is_passed_over(begun: Storage, straight: tiny.Trace, data: Prepared) -> None:
    _, newest = checkpoints(begun)
    whole = begun.read(f"{newest}/model.safetensors")
    assert whole is not None
    begun.write(f"{newest}/model.safetensors", whole[:-100])
    assert goes_on(straight, data, begun) > 1


def test_the_same_machine_brings_nothing(
    place: Storage, straight: tiny.Trace, data: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.traced(the_recipe(), data, stop_after=STOP, folder=place, checkpoint_every_s=0.0)
    monkeypatch.setattr(Storage, "fetch", _refuse)
    assert goes_on(straight, data, place) > 1


def test_a_bucket_that_is_away_ends_no_run(place: Storage, data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("push", "fetch", "read", "entries", "delete"):
        monkeypatch.setattr(Storage, name, _refuse)
    execution = Execution(data=data, seeds=tiny.SEEDS, folder=place, checkpoint_every_s=0.0)
    events = list(run_recipe(the_recipe(), execution))
    assert isinstance(events[-1], Result)
    told = [event.text for event in events if isinstance(event, Notice)]
    assert len(told) == len(set(told)), "a reason is told once"
    assert any("could not be taken to the storage: the bucket is away" in text for text in told)


def _refuse(self: Storage, *_: Any, **__: Any) -> Any:
    raise StorageError("the bucket is away")


def test_a_folder_is_never_asked_for_a_bucket(tmp_path: Path, data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("push", "fetch", "read"):
        monkeypatch.setattr(Storage, name, _refuse)
    tiny.traced(the_recipe(), data, stop_after=STOP, folder=Storage.of(tmp_path), checkpoint_every_s=0.0)
    assert len(list(tmp_path.glob("step_*"))) == KEEP
