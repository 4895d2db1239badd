"""The studies of a results folder: each a folder with a ledger, found by its name."""

from pathlib import Path

from raylab.errors import unknown
from raylab.search.ledger import FILE, Run, Study

DEFAULT_STORAGE = Path("runs")


def folders(storage: Path) -> list[Path]:
    """The folders below `storage` that hold a study, by name; none if there is no such folder."""
    return sorted(path.parent for path in storage.glob(f"*/{FILE}"))


def find(storage: Path, name: str) -> Path:
    """The folder of the study `name`. Raises UserError with the nearest name if there is none."""
    if (storage / name / FILE).is_file():
        return storage / name
    raise unknown("study", name, (folder.name for folder in folders(storage)), f"Studies are looked for in {storage}.")


def find_run(storage: Path, key: str) -> Run | None:
    """The one run, over all studies, whose key begins with `key` (six digits or more)."""
    studies = (Study.read(folder) for folder in folders(storage))
    found = {run.key: run for study in studies for run in study.runs.values() if len(key) >= 6 and run.key.startswith(key)}
    return next(iter(found.values())) if len(found) == 1 else None
