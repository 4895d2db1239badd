"""Models after a prefix of a recipe's stages, kept for every recipe that begins with the same ones.

    STORAGE/stages/<stage key>/   model.safetensors  manifest.json

An entry is written once under its stage key, whole or not at all, on this machine and in the bucket, if there is one; nothing
is deleted but by a person (`raylab cache prune`). A cache that is full, or a disk, stops caching, not the run.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from raylab.data.files import written_once
from raylab.storage import Storage
from raylab.training.checkpoint import load_weights, weights_of
from raylab.training.parallel import Parallel
from raylab.training.shelf import MANIFEST, Manifest, manifest_of

FOLDER = "stages"  # of a storage
WEIGHTS = "model.safetensors"
LIMIT_BYTES = 20 * 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What is kept of a prefix of `stages` stages. cost: what it took to train. by: the key of the run that trained it, and
    totals: what that run had used by then (raylab.training.totals)."""

    stages: int
    folder: Path
    cost: dict[str, Any]
    by: str
    totals: dict[str, Any]


@dataclass(kw_only=True, slots=True)
class StageCache:
    """The entries at `place`, at most `limit_bytes` of them on this machine. told: why something was not kept, not yet read."""

    place: Storage
    limit_bytes: int = LIMIT_BYTES
    told: list[str] = field(default_factory=list)

    def find(self, keys: Sequence[str], parallel: Parallel) -> Found | None:
        """The longest of these prefixes that is kept, the same for every worker; None if there is none, or one of the workers
        cannot get it. keys: of the prefixes of one stage, of two, ..."""
        with parallel.together():
            mine = next((n for n in range(len(keys), 0, -1) if self._get(keys[n - 1])), 0) if parallel.rank == 0 else 0
        stages: Any = parallel.share(mine)
        if not stages:
            return None
        key = keys[stages - 1]
        if not all(parallel.gather([self._get(key) is not None], parallel.world)):
            return None
        manifest = manifest_of(self.place.here / key)
        if manifest is None:
            return None
        told = {name: manifest[name] for name in ("cost", "by", "totals")}
        return Found(stages=stages, folder=self.place.here / key, **told)

    def _get(self, key: str) -> Manifest | None:
        """The manifest of an entry that is here, brought from the bucket if need be. One that was cut short is deleted: it is
        trained and written anew."""
        folder = self.place.here / key
        if (manifest := manifest_of(folder)) is not None:
            with contextlib.suppress(OSError):
                os.utime(folder)  # when it was last of use
            return manifest
        shutil.rmtree(folder, ignore_errors=True)
        if self.place.bucket is None:
            return None
        try:
            self.place.here.mkdir(parents=True, exist_ok=True)
            with FileLock(self.place.here / f".{key}.lock"):
                self.place.fetch(key, last=MANIFEST)
        except OSError as error:
            self._tell(f"a stage could not be read from the storage, and is trained anew: {error}")
        return manifest_of(folder)

    def keep(self, key: str, model: nn.Module, what: str, **told: Any) -> None:
        """Keep a model after a prefix, unless it is there. what: the stages in words, for whoever lists the cache. told: cost, by
        and totals, as in `Found`."""
        folder = self.place.here / key
        if manifest_of(folder) is not None:
            return
        try:
            size = sum(p.numel() * p.element_size() for p in model.parameters())
            if held_bytes(self.place.here) + size > self.limit_bytes:
                self._tell(f"the cache of stages holds its {self.limit_bytes / 1e9:g} GB; `raylab cache prune` makes room")
                return
            with written_once(folder) as temporary:
                temporary.mkdir()
                save_file(weights_of(model), temporary / WEIGHTS)
                sizes = {WEIGHTS: (temporary / WEIGHTS).stat().st_size}
                (temporary / MANIFEST).write_text(json.dumps({"sizes": sizes, "what": what, **told}))
            self.place.push(key, last=MANIFEST)
        except (OSError, SafetensorError) as error:
            self._tell(f"a stage could not be kept in the cache: {error}")

    def _tell(self, reason: str) -> None:
        self.told.append(reason)

    def notices(self) -> list[str]:
        """What was told since the last call."""
        told, self.told = self.told, []
        return told


def load(found: Found, model: nn.Module) -> None:
    """Take up the weights of an entry. The model must have the parts that it had after those stages."""
    load_weights(model, load_file(found.folder / WEIGHTS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of a cache, for people. used: Unix time at which a run last took it up, or wrote it."""

    key: str
    what: str
    size: int
    used: float
    cost: dict[str, Any]


def entries(place: Storage) -> list[Entry]:
    """The whole entries of a cache, on this machine and in the bucket, those of latest use first."""
    here = ((path.name, manifest_of(path), path.stat().st_mtime) for path in _folders(place.here))
    found = {name: _entry(name, manifest, used) for name, manifest, used in here if manifest}
    for folder in place.entries():
        content = place.read(f"{folder.name}/{MANIFEST}") if folder.is_folder and folder.name not in found else None
        if content:
            found[folder.name] = _entry(folder.name, json.loads(content), place.stat(f"{folder.name}/{MANIFEST}").written)
    return sorted(found.values(), key=lambda entry: -entry.used)


def prune(place: Storage, most_bytes: int) -> list[Entry]:
    """Delete what was of use longest ago until the others hold at most so many bytes; here, and in the bucket."""
    held, gone = 0, []
    for entry in entries(place):
        held += entry.size
        if held > most_bytes:
            shutil.rmtree(place.here / entry.key, ignore_errors=True)
            place.delete(entry.key)
            gone.append(entry)
    return gone


def held_bytes(folder: Path) -> int:
    """Bytes of all entries on this machine, whole or not."""
    return sum(file.stat().st_size for path in _folders(folder) for file in path.rglob("*") if file.is_file())


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(".")]


def _entry(name: str, manifest: Manifest, used: float) -> Entry:
    size = sum(manifest["sizes"].values())
    return Entry(key=name, what=manifest["what"], size=size, used=used, cost=manifest["cost"])
