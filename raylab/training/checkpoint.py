"""Atomic checkpoints of a run: safetensors and JSON, complete when the manifest is there, the last two kept.

    FOLDER/step_000002/   model.safetensors  optimizer.safetensors  manifest.json

They are numbered as they are written, for steps begin anew with each stage. A checkpoint holds weights, optimizer
state, the stage and the step. There is no random state and no data position to hold: both follow from the run's seeds
and the step.

A checkpoint that cannot be written, for a full disk for one, is left out: a run that goes on is worth more than one
that could have been resumed.
"""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

KEEP = 2


class Checkpoints:
    """The checkpoints of one run in `folder`; with no folder, none are written and every stage starts at its start.

    totals: called when saving; its JSON value comes back as `restored_totals`.
    """

    def __init__(self, folder: Path | None = None, every_s: float = 30.0, totals: Callable[[], Any] = dict) -> None:
        self.folder = folder
        self.every_s = every_s
        self.totals = totals
        self._saved_at = time.monotonic()
        self._found = self._newest() if folder else None
        self._reasons: list[str] = []  # why checkpoints were left out, each once
        self._untold: list[str] = []

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
        _load_weights(model, load_file(folder / "model.safetensors"))
        _load_optimizer(model, optimizer, load_file(folder / "optimizer.safetensors"))
        return int(manifest["step"])

    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return self.folder is not None and time.monotonic() - self._saved_at >= self.every_s

    def save(self, stage: str, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write a checkpoint whole, and drop all but the last two; or leave no trace of it but a notice."""
        assert self.folder is not None
        order = 1 + max((_number(p) for p in self.folder.glob("step_*")), default=0)
        target = self.folder / f"step_{order:06d}"
        temporary = self.folder / f".{target.name}"
        try:
            self._write(temporary, {"stage": stage, "step": step}, model, optimizer)
            temporary.rename(target)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            self._leave_out(f"no checkpoint could be written: {error}")
        for old in sorted(self.folder.glob("step_*"))[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)
        self._saved_at = time.monotonic()

    def _write(self, folder: Path, place: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_file(_weights(model), folder / "model.safetensors")
        save_file(_optimizer_state(model, optimizer), folder / "optimizer.safetensors")
        sizes = {f.name: f.stat().st_size for f in folder.iterdir()}
        (folder / "manifest.json").write_text(json.dumps({**place, "sizes": sizes, "totals": self.totals()}))

    def _leave_out(self, reason: str) -> None:
        if reason not in self._reasons:
            self._reasons.append(reason)
            self._untold.append(reason)

    def notices(self) -> list[str]:
        """Why checkpoints were left out since the last call: a reason is told once."""
        untold, self._untold = self._untold, []
        return untold

    def clear(self) -> None:
        """Delete every checkpoint of the run."""
        if self.folder is not None:
            for path in (*self.folder.glob("step_*"), *self.folder.glob(".step_*")):
                shutil.rmtree(path, ignore_errors=True)

    def _newest(self) -> tuple[Path, dict[str, Any]] | None:
        assert self.folder is not None
        for folder in sorted(self.folder.glob("step_*"), reverse=True):
            manifest = _manifest(folder)
            if manifest is not None:
                return folder, manifest
        return None


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a complete checkpoint, or None for one that was cut short."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        if any((folder / name).stat().st_size != size for name, size in manifest["sizes"].items()):
            return None
        for name in manifest["sizes"]:
            with safe_open(folder / name, "pt"):  # reads the header, and checks it against the file's length
                pass
    except (OSError, ValueError, KeyError, SafetensorError):
        return None
    return manifest


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name; tied ones once, under their first name."""
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}


def _load_weights(model: nn.Module, stored: dict[str, torch.Tensor]) -> None:
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
