"""A checkpoint that cannot be written is left out, with a reason that is told once, and spoils nothing."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.training.checkpoint import Checkpoints
from raylab.training.progress import Notice, Result
from raylab.training.shelf import KEEP
from raylab.trial import Execution, run_recipe
from tests import tiny


@pytest.fixture
def model() -> nn.Module:
    return nn.Linear(64, 64)  # 16 kB


@pytest.fixture
def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters())


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 4 kB: the system refuses as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_checkpoint_and_no_trace(
    model: nn.Module, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("0-denoise", 1, model, optimizer)
    with full_disk():
        for step in (2, 3):
            checkpoints.save("0-denoise", step, model, optimizer)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000001"]
    (reason,) = checkpoints.notices()
    assert reason.startswith("no checkpoint could be written: ")
    assert checkpoints.notices() == []
    assert Checkpoints(tmp_path).restore("0-denoise", model, optimizer) == 1


def test_once_there_is_room_again_checkpoints_are_written(
    model: nn.Module, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    with full_disk():
        checkpoints.save("0-denoise", 1, model, optimizer)
    for step in range(2, 3 + KEEP):
        checkpoints.save("0-denoise", step, model, optimizer)
    assert len(list(tmp_path.iterdir())) == KEEP
    assert Checkpoints(tmp_path).restore("0-denoise", model, optimizer) == 2 + KEEP


def test_the_next_is_due_an_interval_after_one_that_failed(
    model: nn.Module, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path, every_s=3600.0)
    checkpoints._saved_at -= 3601.0
    assert checkpoints.due()
    with full_disk():
        checkpoints.save("0-denoise", 1, model, optimizer)
    assert not checkpoints.due()


def test_a_run_on_a_full_disk_comes_to_its_end_and_says_why_nothing_was_kept(data: Prepared, tmp_path: Path) -> None:
    execution = Execution(data=data, seeds=tiny.SEEDS, folder=tmp_path / "run", checkpoint_every_s=0.0)
    with full_disk():
        *events, last = run_recipe(tiny.recipe(), execution)
    assert isinstance(last, Result)
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert "no checkpoint could be written" in notice.text
    assert list((tmp_path / "run").glob("step_*")) == []
