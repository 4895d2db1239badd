"""A run that does not fit is recorded as failed, with that for a reason, and its lane goes on."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch

from raylab.cluster.attempt import _Attempt
from raylab.recipe import encode
from raylab.storage import Storage
from raylab.training import loop
from raylab.training.memory import Memory
from raylab.training.parallel import Parallel
from tests import tiny


def test_out_of_memory_is_a_recorded_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    config = {"lane": 0, "checkpoint_every_s": 3600.0}
    request = {
        "key": "k", "label": "", "role": "explore", "recipe": encode(tiny.recipe()), "seeds": encode(tiny.SEEDS),
        "splits": ["dev"], "rungs": [], "keep_model": False, "attempt": 1,
    }  # fmt: skip
    data, place = tiny.prepared(tmp_path), Storage(here=tmp_path / "k")
    attempt = _Attempt(config, request, MagicMock(), Parallel(), data, place, Memory(), cache=None)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "decode", full)
        end = attempt._execute()
    assert end["state"] == "failed"
    assert end["error"].startswith("out_of_memory: one row of ") and "\n" not in end["error"]
    assert end["metrics"]["steps"] == 0
    assert attempt._execute()["state"] == "finished"
