"""Where a run's checkpoints lie: folders `step_NNNNNN`, complete when their manifest is there, the last two kept.

With a bucket (see raylab.storage) they lie on this machine and there. Rank 0 takes each there in a thread; a run that was
lost with its machine goes on from what had arrived. Names alone say little: of two machines that a run was at, each may
have left a checkpoint of the same number behind, so that manifests are compared.
"""

import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from safetensors import SafetensorError, safe_open

from raylab.storage import Storage
from raylab.training.parallel import Parallel

KEEP = 2
MANIFEST = "manifest.json"
_STEP = re.compile(r"step_\d+")
T = TypeVar("T")
Manifest = dict[str, Any]


class Shelf:
    """The checkpoints of one run at `place`. complain: told, in one line, of what the bucket did not do."""

    def __init__(self, place: Storage, complain: Callable[[str], None]) -> None:
        self.place, self.complain = place, complain
        self.folder = place.here
        self._number = 0  # of the newest, complete or not
        self._sending: threading.Thread | None = None

    def next_name(self) -> str:
        """A name that no other checkpoint of the run has."""
        self._number += 1
        return f"step_{self._number:06d}"

    def added(self, name: str) -> None:
        """A new one stands in the folder: the bucket gets it, too."""
        if self.place.bucket is not None:
            self._sending = threading.Thread(target=self._send, args=(name,), name="raylab-checkpoint", daemon=True)
            self._sending.start()

    def drop_old(self) -> None:
        """Delete all but the last two of the folder."""
        for old in _here(self.folder)[:-KEEP]:
            shutil.rmtree(self.folder / old, ignore_errors=True)

    @property
    def busy(self) -> bool:
        """Is one still on its way to the bucket?"""
        return self._sending is not None and self._sending.is_alive()

    def settle(self) -> None:
        """Wait until the last one has arrived, or failed to."""
        if self._sending is not None:
            self._sending.join()

    def newest(self, parallel: Parallel) -> tuple[Path, Manifest] | None:
        """The newest complete one, the same on every worker; None if there is none, or one of them cannot get it."""
        with parallel.together():
            mine = self._newest(arrived=parallel.world > 1) if parallel.rank == 0 else None
        chosen: Any = parallel.share(mine)
        if chosen is None:
            return None
        name, manifest = chosen
        if not all(parallel.gather([self._has(name, manifest)], parallel.world)):
            self.complain("not every worker could read the newest checkpoint; the run began anew")
            return None
        return self.folder / name, manifest

    def _newest(self, arrived: bool) -> tuple[str, Manifest] | None:
        """Of those here and in the bucket, brought here. arrived: it is in the bucket, too, for other machines."""
        there = self._tried(lambda: _there(self.place)) or []
        names = sorted({*there, *_here(self.folder)}, reverse=True)
        self._number = max((int(name.removeprefix("step_")) for name in names), default=0)
        for name in names:
            told = self._manifest_there(name) if name in there else None
            manifest = told or manifest_of(self.folder / name)
            if manifest is not None and self._has(name, manifest):
                if told is None:
                    self.added(name)
                if arrived:
                    self.settle()
                return name, manifest
        return None

    def _has(self, name: str, manifest: Manifest) -> bool:
        """Is the checkpoint of this manifest here, brought from the bucket if need be? A machine's workers share a folder."""
        if manifest_of(self.folder / name) == manifest:
            return True
        if self.place.bucket is None:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".fetching"):
            if manifest_of(self.folder / name) != manifest:
                shutil.rmtree(self.folder / name, ignore_errors=True)
                self._tried(lambda: self.place.fetch(name, last=MANIFEST))
            return manifest_of(self.folder / name) == manifest

    def _manifest_there(self, name: str) -> Manifest | None:
        content = self._tried(lambda: self.place.read(f"{name}/{MANIFEST}"))
        try:
            manifest: Manifest | None = json.loads(content) if content else None
        except ValueError:
            return None
        return manifest

    def _tried(self, ask: Callable[[], T]) -> T | None:
        """What the bucket answers; None if it does not: then there is nothing there that one could go on from."""
        try:
            return ask()
        except OSError as error:
            self.complain(f"no checkpoint could be read from the storage: {error}")
            return None

    def _send(self, name: str) -> None:
        try:
            self.place.push(name, last=MANIFEST)
            for old in _there(self.place)[:-KEEP]:
                self.place.delete(old)
        except OSError as error:
            self.complain(f"a checkpoint could not be taken to the storage: {error}")


def manifest_of(folder: Path) -> Manifest | None:
    """The manifest of a complete checkpoint, or None for one that was cut short."""
    try:
        manifest: Manifest = json.loads((folder / MANIFEST).read_text())
        if any((folder / name).stat().st_size != size for name, size in manifest["sizes"].items()):
            return None
        for name in manifest["sizes"]:
            with safe_open(folder / name, "pt"):  # reads the header, and checks it against the file's length
                pass
    except (OSError, ValueError, KeyError, SafetensorError):
        return None
    return manifest


def _here(folder: Path) -> list[str]:
    """The checkpoints of a folder, by number, complete or not."""
    return sorted(path.name for path in folder.glob("step_*") if _STEP.fullmatch(path.name))


def _there(place: Storage) -> list[str]:
    return sorted(entry.name for entry in place.entries() if entry.is_folder and _STEP.fullmatch(entry.name))
