"""Atomic checkpoints of a run: safetensors and JSON, complete when the manifest is there, the last two kept.

    FOLDER/step_000002/   model.safetensors  optimizer.safetensors  manifest.json

They are numbered as they are written, for steps begin anew with each stage. A checkpoint holds weights, optimizer
state, the stage and the step. There is no random state and no data position to hold: both follow from the run's seeds
and the step.

A checkpoint that cannot be written or taken to the bucket, for a full disk for one, is left out: a run that goes on is
worth more than one that could have been resumed.
"""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from raylab.storage import Storage
from raylab.training.parallel import Parallel
from raylab.training.shelf import MANIFEST, Shelf


class Checkpoints:
    """The checkpoints of one run in `folder`; with no folder, none are written and every stage starts at its start.

    totals: called when saving; its JSON value comes back as `restored_totals`. timed: entered around all that takes time. All
    workers go on from the checkpoint that rank 0 finds newest, wherever their machines; rank 0 alone saves.
    """

    def __init__(
        self, folder: Storage | Path | None = None, every_s: float = 30.0, totals: Callable[[], Any] = dict,
        parallel: Parallel | None = None, timed: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:  # fmt: skip
        self.every_s = every_s
        self.totals = totals
        self._timed = timed
        self._saved_at = time.monotonic()
        self._reasons: list[str] = []  # why checkpoints were left out, each once
        self._untold: list[str] = []
        place = Storage(here=folder) if isinstance(folder, Path) else folder
        self._shelf = Shelf(place, self._leave_out) if place else None
        self._found = self._shelf.newest(parallel or Parallel()) if self._shelf else None

    @property
    def stage(self) -> str | None:
        """The stage of the newest complete checkpoint."""
        return self._found[1]["stage"] if self._found else None

    @property
    def restored_totals(self) -> Any:
        """What `totals` gave when that checkpoint was written."""
        return self._found[1]["totals"] if self._found else None

    def restore(self, stage: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Load the newest checkpoint if it is one of `stage`; return the steps done there, else 0."""
        if self._found is None or self._found[1]["stage"] != stage:
            return 0
        folder, manifest = self._found
        with self._timed():
            load_weights(model, load_file(folder / "model.safetensors"))
            _load_optimizer(model, optimizer, load_file(folder / "optimizer.safetensors"))
        return int(manifest["step"])

    def due(self) -> bool:
        """Whether it is time for another checkpoint; not while the last one is on its way to a bucket."""
        return self._shelf is not None and time.monotonic() - self._saved_at >= self.every_s and not self._shelf.busy

    def save(self, stage: str, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write a checkpoint whole, and drop all but the last two; or leave no trace of it but a notice."""
        with self._timed():
            self._save({"stage": stage, "step": step}, model, optimizer)
        self._saved_at = time.monotonic()

    def _save(self, place: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        assert self._shelf is not None
        name = self._shelf.next_name()
        temporary = self._shelf.folder / f".{name}"
        try:
            self._write(temporary, place, model, optimizer)
            temporary.rename(self._shelf.folder / name)
            self._shelf.added(name)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            self._leave_out(f"no checkpoint could be written: {error}")
        self._shelf.drop_old()

    def close(self) -> None:
        """Wait until the last one has been taken to the bucket, if there is one."""
        if self._shelf is not None:
            with self._timed():
                self._shelf.settle()

    def _write(self, folder: Path, place: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_file(weights_of(model), folder / "model.safetensors")
        save_file(_optimizer_state(model, optimizer), folder / "optimizer.safetensors")
        sizes = {f.name: f.stat().st_size for f in folder.iterdir()}
        (folder / MANIFEST).write_text(json.dumps({**place, "sizes": sizes, "totals": self.totals()}))

    def _leave_out(self, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.append(reason)
            self._untold.append(reason)

    def notices(self) -> list[str]:
        """Why checkpoints were left out since the last call: a reason is told once."""
        untold, self._untold = self._untold, []
        return untold


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name; tied ones once, under their first name."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}


def load_weights(model: nn.Module, stored: dict[str, torch.Tensor]) -> None:
    """Take up weights that `weights_of` gave."""
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            tensor.copy_(stored[name])


def _optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{part}/{name}": value.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        for part, value in optimizer.state.get(parameter, {}).items()
    }


def _load_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, stored: dict[str, torch.Tensor]) -> None:
    by_name = dict(model.named_parameters())
    for key, value in stored.items():
        part, name = key.split("/", 1)
        parameter = by_name[name]
        # AdamW counts steps in a float tensor of its own, on the parameter's device when it is fused
        optimizer.state[parameter][part] = value.to(parameter.device)
