"""Folders that go from the driver to workers by content: a worker on another machine has no such path."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raylab.errors import UserError

MOST_BYTES = 20_000_000  # of one folder; it goes to every worker, each time one is started


def pack(folder: Path) -> dict[str, Any]:
    """A folder's `path` here and its `files`, as bytes by relative path. Raises UserError if that is too much to send along."""
    found = dict(_files(folder))
    size = sum(path.stat().st_size for path in found.values())
    if size > MOST_BYTES:
        largest = max(found, key=lambda name: found[name].stat().st_size)
        raise UserError(
            f"{folder} holds {size / 1e6:,.0f} MB ({largest} is the largest); at most {MOST_BYTES / 1e6:.0f} MB of code go to "
            "the workers. Keep data out of it: --data-dir, or the storage."
        )
    return {"path": str(folder.resolve()), "files": {name: path.read_bytes() for name, path in found.items()}}


def unpack(packed: dict[str, Any]) -> Path:
    """The folder on this machine: the original where its files lie here as they were, so that tracebacks name a person's own;
    a copy elsewhere, gone with this process."""
    original, files = Path(packed["path"]), packed["files"]
    here = dict(_files(original))
    if all(name in here and here[name].read_bytes() == content for name, content in files.items()):
        return original
    copy = Path(tempfile.mkdtemp(prefix="raylab-shipped-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for name, content in files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    return copy


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """What counts: no caches and nothing hidden."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in name.parts):
            yield name.as_posix(), path
