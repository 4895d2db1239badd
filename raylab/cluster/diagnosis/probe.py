"""What a machine tells of itself: versions, GPUs, shared memory, whether it sees the results folder.

Runs on this machine and, as a Ray task, on every node of a cluster. It is sent there by value and needs the standard
library alone, so that it also runs where raylab or a package is missing, which is what it is there to find out.
"""

import hashlib
import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOKEN = "token"  # the driver's file in the folder that nodes look into
TIMEOUT_S = 60.0
_BESIDE = ("search_spaces", "experiments")  # inside the package in a wheel, beside it in a checkout
_COUNT_GPUS = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"


def examine(packages: Sequence[str], meeting: str | None = None) -> dict[str, Any]:
    """The facts of the machine it runs on, as plain values.

    packages: names whose versions are wanted. meeting: a folder, or a URL, with a file TOKEN in it that this machine should see.
    Keys: python; versions {name: version, None if missing}; raylab (hash of its code, None if it can't be imported);
    shared_memory_bytes (None where there is no such thing); gpus (names); torch_gpus (how many PyTorch can use);
    storage {token, reply, error} if a meeting was given: what it read there, and the name of the file it left.
    """
    gpus = _gpus()
    return {
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "raylab": _code("raylab"),
        "shared_memory_bytes": shutil.disk_usage("/dev/shm").total if os.path.isdir("/dev/shm") else None,
        "gpus": gpus,
        "torch_gpus": _torch_gpus() if gpus else 0,
        "storage": None if meeting is None else _meet(meeting),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _code(package: str) -> str | None:
    """A hash of a package's Python files: equal versions of a checkout need not be equal programs."""
    try:
        folder = Path(str(importlib.import_module(package).__file__)).parent
    except ImportError:
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if name.parts[0] not in _BESIDE:
            digest.update(f"{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _gpus() -> list[str]:
    """The driver's own list: PyTorch and CUDA_VISIBLE_DEVICES may hide what is there."""
    if shutil.which("nvidia-smi") is None:
        return []
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def _torch_gpus() -> int:
    """In a process of its own: a Ray task without GPUs is shown none, and no CUDA context should stay behind."""
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    asked = [sys.executable, "-c", _COUNT_GPUS]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else 0


def _meet(address: str) -> dict[str, Any]:
    """Read the driver's file, leave one for it."""
    reply = uuid.uuid4().hex
    try:
        token = _meet_in_bucket(address, reply) if "://" in address else _meet_in_folder(Path(address), reply)
    except (OSError, ImportError) as error:
        return {"token": None, "reply": None, "error": getattr(error, "strerror", None) or str(error)}
    return {"token": token, "reply": reply, "error": None}


def _meet_in_folder(folder: Path, reply: str) -> str:
    token = (folder / TOKEN).read_text()
    (folder / reply).write_text(token)
    return token


def _meet_in_bucket(address: str, reply: str) -> str:
    from raylab.storage import Storage  # as a lane there would do it

    place = Storage.of(address)
    token = place.read(TOKEN) or b""
    place.write(reply, token)
    return token.decode()
