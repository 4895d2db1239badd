"""The storage: writable, lockable, roomy, and the same to every machine."""

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
from raylab.storage import Storage, StorageError

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
def meeting(storage: Storage) -> Iterator[tuple[Storage, str]]:
    """A place in the storage with a file TOKEN in it, gone afterwards; yields it and what the file holds. May raise OSError."""
    place, token = storage / f".doctor-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    if place.bucket:
        place.write(TOKEN, token.encode())
    else:
        place.here.mkdir()
    try:
        if not place.bucket:
            (place.here / TOKEN).write_text(token)
        yield place, token
    finally:
        with contextlib.suppress(StorageError):
            place.delete("")
        shutil.rmtree(place.here, ignore_errors=True)


def usable(storage: Storage, trouble: str = "") -> Finding:
    """A search writes, renames and locks in a folder, where network file systems can fail at each; and in a bucket it
    writes, lists, reads and deletes. trouble: why there is no folder."""
    option = "RAYLAB_CACHE" if storage.bucket else "--storage"
    if trouble:
        return Finding(where=HERE, check="storage", state="fail", found=trouble, advice=f"Give another folder with {option}.")
    found = _folder(storage.here, option)
    if not storage.bucket or found.state == "fail":
        return found
    try:
        storage.check()
        storage.entries()
    except StorageError as error:
        return Finding(
            where=HERE, check="storage", state="fail", found=str(error), advice="Without it nothing can be kept there."
        )
    return Finding(
        where=HERE, check="storage", state=found.state, found=f"{storage}, worked on in {found.found}", advice=found.advice
    )


def _folder(folder: Path, option: str) -> Finding:
    try:
        with meeting(Storage(here=folder)) as (inside, _):
            (inside.here / TOKEN).rename(inside.here / "renamed")
            FileLock(inside.here / "lock").acquire(timeout=SEEN_S).lock.release()
    except (OSError, Timeout, NotImplementedError) as error:
        advice = f"Give a folder of yours with {option}, on a file system that can lock files."
        return Finding(where=HERE, check="storage", state="fail", found=f"{folder}: {error}", advice=advice)
    free = shutil.disk_usage(folder).free
    found = f"{folder}, {free / 1e9:,.1f} GB free"
    if free >= ROOMY_BYTES:
        return Finding(where=HERE, check="storage", state="ok", found=found)
    advice = f"Checkpoints of larger models will not fit: free some, or give another folder with {option}."
    return Finding(where=HERE, check="storage", state="warn" if free >= TINY_BYTES else "fail", found=found, advice=advice)


def sees(where: str, met: Mapping[str, Any], meeting: Storage, token: str) -> Finding | None:
    """None if the machine `where` read what we wrote, and we read what it wrote: its probe's `storage` is `met`."""
    if met["error"] is None and met["token"] == token and _appears(meeting, met["reply"], token):
        return None
    if meeting.bucket:
        found = f"{meeting.parent} can't be used there" + (f" ({met['error']})" if met["error"] else "")
        advice = "Nodes need the storage's credentials and raylab: give them a role that may use the bucket, or the environment."
    else:
        found = f"{meeting.parent} is not the same folder there" + (f" ({met['error']})" if met["error"] else "")
        advice = "Give a --storage that all nodes mount at the same path and may write to (NFS, EFS, Filestore), or s3://..."
    return Finding(where=where, check="storage", state="fail", found=found, advice=advice)


def _appears(place: Storage, name: str, text: str) -> bool:
    deadline = time.monotonic() + SEEN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if (place.read(name) if place.bucket else (place.here / name).read_bytes()) == text.encode():
                return True
        time.sleep(0.1)
    return False
