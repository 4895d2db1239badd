"""Atomic checkpoints of a run: safetensors and JSON, complete when the manifest is there, the last two kept.

    FOLDER/step_000002/   model.safetensors  optimizer.safetensors  manifest.json

They are numbered as they are written, for steps begin anew with each stage. A checkpoint holds weights, optimizer
state, the stage and the step. There is no random state and no data position to hold: both follow from the run's seeds
and the step.
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
        """Write a checkpoint whole or not at all, and drop all but the last two."""
        assert self.folder is not None
        order = 1 + max((_number(p) for p in self.folder.glob("step_*")), default=0)
        target = self.folder / f"step_{order:06d}"
        temporary = self.folder / f".{target.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(_weights(model), temporary / "model.safetensors")
        save_file(_optimizer_state(model, optimizer), temporary / "optimizer.safetensors")
        sizes = {f.name: f.stat().st_size for f in temporary.iterdir()}
        manifest = {"stage": stage, "step": step, "sizes": sizes, "totals": self.totals()}
        (temporary / "manifest.json").write_text(json.dumps(manifest))
        temporary.rename(target)
        for old in sorted(self.folder.glob("step_*"))[:-KEEP]:
            shutil.rmtree(old)
        self._saved_at = time.monotonic()

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
