"""The studies of a storage: each a folder with a ledger, found by its name, brought here if it lies in a bucket."""

import contextlib
import os
import time
from pathlib import Path

from filelock import FileLock, Timeout

from raylab.errors import unknown
from raylab.search.ledger import FILE, Run, Study, whole_lines
from raylab.storage import Storage

DEFAULT_STORAGE = Path("runs")
LOCK = "search.lock"  # held by the driver that runs a study on this machine


def folders(storage: Storage) -> list[Path]:
    """The folders here that hold a study, by name; none if there is no such storage."""
    found = storage.entries()
    if not found:
        storage.check_bucket()
    for entry in found:
        if entry.is_folder:
            bring(storage / entry.name)
    return sorted(path.parent for path in storage.here.glob(f"*/{FILE}"))


def find(storage: Storage, name: str) -> Path:
    """The folder here of the study `name`. Raises UserError with the nearest name if there is none."""
    bring(storage / name)
    if (storage.here / name / FILE).is_file():
        return storage.here / name
    raise unknown("study", name, (folder.name for folder in folders(storage)), f"Studies are looked for in {storage}.")


def find_run(storage: Storage, key: str) -> Run | None:
    """The one run, over all studies, whose key begins with `key` (six digits or more)."""
    if len(key) < 6:
        return None
    studies = (Study.read(folder) for folder in folders(storage))
    found = {run.key: run for study in studies for run in study.runs.values() if run.key.startswith(key) and not run.origin}
    return next(iter(found.values())) if len(found) == 1 else None


def bring(study: Storage) -> None:
    """Bring the ledger of a study here from its bucket, unless the one here is the same, or further.

    A ledger here that went another way than the one there, which others went on with, is set aside.
    """
    with contextlib.suppress(FileNotFoundError):
        ledger, there = study.here / FILE, study.stat(FILE)
        if ledger.is_file() and (ledger.stat().st_size, int(ledger.stat().st_mtime)) == (there.size, there.written):
            return
        content = study.read(FILE) or b""
        if not whole_lines(ledger).startswith(content):
            _replace(ledger, content, there.written)
        elif ledger.stat().st_size == there.size:
            os.utime(ledger, (there.written, there.written))  # looked at: the next time it need not be read


def _replace(ledger: Path, content: bytes, written: int) -> None:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(ledger.with_name(LOCK), timeout=0):
            if not content.startswith(whole_lines(ledger)):
                ledger.rename(ledger.with_name(f"ledger-aside-{int(time.time())}.jsonl"))
            temporary = ledger.with_name(f".{FILE}-{os.getpid()}")
            temporary.write_bytes(content)
            os.utime(temporary, (written, written))
            temporary.replace(ledger)
    except Timeout:
        return  # it is being run here: nobody is further
