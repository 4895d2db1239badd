"""This machine and what is installed on it: what results depend on beyond recipe, seeds and data."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

import raylab

PACKAGES = ("torch", "transformers", "ray", "optuna", "mlflow", "datasets", "tokenizers", "numpy")


def environment(command: str) -> dict[str, str]:
    """Versions, device, commit and the command, for the ledger."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "command": command,
        "raylab": raylab.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        **versions,
        "device": torch.cuda.get_device_name() if gpus_here() else f"CPU, {platform.machine()}, {cpus_here()} cores",
    }


def commit() -> str:
    """The commit of the checkout raylab runs from, with "-dirty" if files differ; empty for an installed wheel."""
    folder = Path(raylab.__file__).parent
    described = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(described, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def cpus_here() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus_here() -> int:
    """The GPUs of this machine."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
