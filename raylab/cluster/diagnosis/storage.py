"""The results folder: writable, lockable, roomy, and the same folder to every machine."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from raylab.cluster.diagnosis.finding import HERE, Finding
from raylab.cluster.diagnosis.probe import TOKEN

TINY_BYTES, ROOMY_BYTES = 200_000_000, 10_000_000_000  # what a tiny study writes; a small one on several lanes
SEEN_S = 10.0  # for a file written on one machine to be seen on another; network file systems cache


@contextlib.contextmanager
def made(folder: Path) -> Iterator[str]:
    """`folder`, made if need be and gone afterwards if it was; yields why it can't be had, or nothing."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    trouble = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        trouble = f"{folder} can't be made: {error.strerror}"
    try:
        yield trouble
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # never made, or somebody uses it by now
                path.rmdir()


@contextlib.contextmanager
def meeting(storage: Path) -> Iterator[tuple[Path, str]]:
    """A folder in the storage with a file TOKEN in it, gone afterwards; yields it and what the file holds. May raise OSError."""
    folder, token = storage / f".doctor-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    folder.mkdir()
    try:
        (folder / TOKEN).write_text(token)
        yield folder, token
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def usable(folder: Path, trouble: str = "") -> Finding:
    """A search writes, renames and locks there; network file systems can fail at each. trouble: why there is no folder."""
    if trouble:
        return Finding(where=HERE, check="storage", state="fail", found=trouble, advice="Give another folder with --storage.")
    try:
        with meeting(folder) as (inside, _):
            (inside / TOKEN).rename(inside / "renamed")
            FileLock(inside / "lock").acquire(timeout=SEEN_S).lock.release()
    except (OSError, Timeout, NotImplementedError) as error:
        advice = "Give a folder of yours with --storage, on a file system that can lock files."
        return Finding(where=HERE, check="storage", state="fail", found=f"{folder}: {error}", advice=advice)
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / 1e9:,.1f} GB free"
    if free >= ROOMY_BYTES:
        return Finding(where=HERE, check="storage", state="ok", found=found)
    advice = "Checkpoints of larger models will not fit: free some, or give another folder with --storage."
    return Finding(where=HERE, check="storage", state="warn" if free >= TINY_BYTES else "fail", found=found, advice=advice)


def sees(where: str, met: Mapping[str, Any], meeting: Path, token: str) -> Finding | None:
    """None if the machine `where` read what we wrote, and we read what it wrote: its probe's `storage` is `met`."""
    if met["error"] is None and met["token"] == token and _appears(meeting / met["reply"], token):
        return None
    found = f"{meeting.parent} is not the same folder there" + (f" ({met['error']})" if met["error"] else "")
    advice = "Give a --storage that all nodes mount at the same path and may write to: NFS, EFS, Filestore, a shared volume."
    return Finding(where=where, check="storage", state="fail", found=found, advice=advice)


def _appears(path: Path, text: str) -> bool:
    deadline = time.monotonic() + SEEN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if path.read_text() == text:
                return True
        time.sleep(0.1)
    return False
