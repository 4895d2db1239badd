"""A run that stopped anywhere goes on bit for bit as if it had not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from raylab.data.prepared import Prepared
from raylab.training.shelf import KEEP
from tests import tiny
from tests.tiny import Trace

PRETRAIN, FINETUNE = 6, 4


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module", params=[0.0, 0.1], ids=["dropout 0", "dropout 0.1"])
def dropout(request: pytest.FixtureRequest) -> float:
    return float(request.param)


@pytest.fixture(scope="module")
def whole(dropout: float, data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Trace, Path]:
    """The run without a stop, and its model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raylab.training.loop.READ_EVERY", 1)
        kept = tmp_path_factory.mktemp("whole") / "model"
        return tiny.traced(the_recipe(dropout), data, keep_model=kept), kept


def the_recipe(dropout: float) -> tiny.Recipe:
    return tiny.recipe(pretrain_steps=PRETRAIN, finetune_steps=FINETUNE, dropout=dropout)


@pytest.mark.parametrize("stop_after", [1, 3, PRETRAIN, PRETRAIN + 1, PRETRAIN + 3])
def test_goes_on_as_if_it_had_not_stopped(
    stop_after: int, dropout: float, whole: tuple[Trace, Path], data: Prepared, tmp_path: Path
) -> None:
    straight, model = whole
    running: dict[str, Any] = {"folder": tmp_path / "run", "checkpoint_every_s": 0.0}
    first = tiny.traced(the_recipe(dropout), data, stop_after=stop_after, **running)
    assert first.result is None
    second = tiny.traced(the_recipe(dropout), data, keep_model=tmp_path / "model", **running)

    # the step after which it was closed was not saved yet: it is the first to be done again
    assert first.losses[: stop_after - 1] + second.losses == straight.losses
    assert second.steps[-1].position == PRETRAIN + FINETUNE
    assert second.result is not None and straight.result is not None
    assert tiny.numbers(second.result) == tiny.numbers(straight.result)
    ours, theirs = weights(tmp_path / "model"), weights(model)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_two_checkpoints_are_kept(data: Prepared, tmp_path: Path) -> None:
    tiny.traced(the_recipe(0.0), data, folder=tmp_path, checkpoint_every_s=0.0)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step_000009", "step_000010"]
    assert KEEP == 2


def test_no_checkpoint_before_its_time(data: Prepared, tmp_path: Path) -> None:
    tiny.traced(the_recipe(0.0), data, folder=tmp_path, checkpoint_every_s=3600.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage", ["weights cut", "weights empty", "no manifest", "manifest cut", "no optimizer", "half written"]
)
def test_a_damaged_checkpoint_is_passed_over(damage: str, data: Prepared, tmp_path: Path) -> None:
    straight = tiny.traced(the_recipe(0.0), data)
    tiny.traced(the_recipe(0.0), data, stop_after=5, folder=tmp_path, checkpoint_every_s=0.0)
    newest = max(tmp_path.glob("step_*"))
    if damage == "half written":
        newest.rename(newest.with_name(f".{newest.name}"))
    else:
        spoil(newest, damage)
    resumed = tiny.traced(the_recipe(0.0), data, folder=tmp_path, checkpoint_every_s=0.0)
    assert resumed.steps[0].position == 4
    assert straight.result is not None and resumed.result is not None
    assert tiny.numbers(resumed.result) == tiny.numbers(straight.result)


def spoil(checkpoint: Path, damage: str) -> None:
    model, manifest = checkpoint / "model.safetensors", checkpoint / "manifest.json"
    match damage:
        case "weights cut":
            model.write_bytes(model.read_bytes()[:-100])
        case "weights empty":
            model.write_bytes(b"")
        case "no manifest":
            manifest.unlink()
        case "manifest cut":
            manifest.write_bytes(manifest.read_bytes()[:20])
        case "no optimizer":
            (checkpoint / "optimizer.safetensors").unlink()


def test_without_a_usable_checkpoint_it_begins_anew(data: Prepared, tmp_path: Path) -> None:
    tiny.traced(the_recipe(0.0), data, stop_after=3, folder=tmp_path, checkpoint_every_s=0.0)
    for checkpoint in tmp_path.glob("step_*"):
        spoil(checkpoint, "weights cut")
    assert tiny.traced(the_recipe(0.0), data, folder=tmp_path).steps[0].position == 1
