"""Datasets and corpora in a folder of one's own: `DATA_DIR/NAME/`, or any folder (or single file) by its path.

Files of a dataset belong to the split their name begins with (train, dev, validation or val, test; devtest is a test
split), or else the first such word in it ("web-dev.json"). A file named exactly so goes before others of its split
("dev" before "dev_ood"); several like "train-00000-of-00002" are read one after the other. Files without such a word
are only read where no file has one. All files of a corpus are read.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from raylab.data.family import Examples, Family, Named, fitting
from raylab.data.passages import read_passages
from raylab.data.rows import Placed, format_of, rows_of
from raylab.data.task import SPLITS, Passage
from raylab.errors import UserError, unknown

CORPUS, OTHER = "corpus", "other"  # what a folder may hold besides a task of some family
_SPLIT_WORD = re.compile(r"(?:^|[-_. ])(?:(?P<train>train)|(?P<test>test|devtest)|(?P<dev>dev|valid|val))", re.IGNORECASE)
_EXACT = {"train": "train", "dev": "dev", "validation": "dev", "valid": "dev", "val": "dev", "test": "test", "devtest": "test"}
_LABELS = ("label", "target", "score", "labels")


def is_path(name: str) -> bool:
    """Whether a dataset or corpus was given as a path rather than a name."""
    return "/" in name or "\\" in name or name.startswith(("~", ".")) or format_of(Path(name)) is not None


def find(name: str, data_dir: Path | None) -> Path | None:
    """The folder or file of a dataset or corpus: the path itself, or its folder in `data_dir`; None if it has none there.

    Raises UserError for a path or a `data_dir` that does not exist.
    """
    if data_dir is not None:
        check_data_dir(data_dir)
    if is_path(name):
        path = Path(name).expanduser()
        if not path.exists():
            raise UserError(f"there is nothing at {name}. Expected a folder with files like train.jsonl, or one such file.")
        return path
    folder = data_dir / name if data_dir is not None else None
    return folder if folder is not None and folder.is_dir() else None


def check_data_dir(data_dir: Path) -> None:
    """Raise UserError unless the folder is there."""
    if not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is no folder. Give one that holds a folder for each dataset.")


def name_of(path: Path) -> str:
    """The name of a dataset or corpus read from a path: its folder's, or its file's without endings."""
    return path.name.split(".")[0] if path.is_file() else path.resolve().name


def kinds(data_dir: Path) -> dict[str, str]:
    """The folders of `data_dir`, and of each what it holds: the name of a task's family, a corpus, or something else."""
    return {folder.name: kind_of(folder) for folder in sorted(data_dir.iterdir()) if folder.is_dir()}


def tasks(data_dir: Path) -> tuple[str, ...]:
    """The folders of `data_dir` that hold a task."""
    return tuple(name for name, kind in kinds(data_dir).items() if kind not in (CORPUS, OTHER))


def corpora(data_dir: Path) -> tuple[str, ...]:
    """The folders of `data_dir` that hold texts with nothing to predict."""
    return tuple(name for name, kind in kinds(data_dir).items() if kind == CORPUS)


def kind_of(path: Path) -> str:
    """What a folder or file holds, by its first row."""
    try:
        _, row = _first(_files(path))
        family = fitting(row)
    except UserError:  # a broken neighbour must not spoil a listing; reading it says what is wrong
        return OTHER
    if family is not None:
        return family.name()
    return CORPUS if isinstance(row.get("text"), str) and not any(label in row for label in _LABELS) else OTHER


def read_examples(path: Path, files: Mapping[str, str]) -> tuple[type[Family], Examples]:
    """All examples at `path`, and their family. `files` names the file of a split (--splits) where its name does not say.

    Raises UserError for rows of no family, a broken row (file and line), a file that is not there, or no row at all.
    """
    chosen, notes = _chosen(path, files) if files else _recognised(path)
    where, row = _first(itertools.chain(*chosen.values()))
    if not row:
        raise UserError(
            f"there is no readable row in {_listed(path, itertools.chain(*chosen.values()))}; expected one example a row."
        )
    family = fitting(row)
    if family is None:
        raise UserError(f"{where} fits no family of tasks; it has {', '.join(row)}. See raylab data list --help for what does.")
    read = family.read({split: _named(paths) for split, paths in chosen.items()})
    return family, replace(read, notes=(*notes, *read.notes))


def read_corpus(path: Path) -> tuple[Passage, ...]:
    """All passages at `path`, each once: rows with `text` (and `title`), or the passages that questions carry.

    Raises UserError for a broken row (file and line) or no row at all.
    """
    files = _files(path)
    passages = {p.id: p for file in files for where, row in rows_of(file) for p in read_passages(row, where)}
    if not passages:
        raise UserError(f"there is no readable row in {_listed(path, files)}; expected one passage a row, as `text` and `title`.")
    return tuple(passages.values())


def _first(files: Iterable[Path]) -> Placed:
    """The first row of the files, or an empty one."""
    return next(itertools.chain.from_iterable(map(rows_of, files)), ("", {}))


def _named(files: Iterable[Path]) -> Iterator[Named]:
    for file in files:
        stem = file.name.split(".")[0]
        yield from ((f"{stem}-{number}", where, row) for number, (where, row) in enumerate(rows_of(file), start=1))


def _files(path: Path) -> tuple[Path, ...]:
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple(file for file in candidates if file.is_file() and format_of(file) and not file.name.startswith("."))


def _chosen(path: Path, files: Mapping[str, str]) -> tuple[dict[str, tuple[Path, ...]], tuple[str, ...]]:
    folder = path if path.is_dir() else path.parent
    for split, name in files.items():
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        if not (folder / name).is_file():
            raise UserError(f"--splits {split}={name}: there is no such file in {folder}. It holds: {_names(_files(path))}.")
    return {split: (folder / name,) for split, name in files.items()}, ()


def _recognised(path: Path) -> tuple[dict[str, tuple[Path, ...]], tuple[str, ...]]:
    """The files of each split, and a note that names those that are not read."""
    files = _files(path)
    if not files:
        raise UserError(f"{path} holds no file raylab can read. Expected .jsonl, .json, .csv (also .gz) or .parquet files.")
    by_split = {split: _of_split(split, files) for split in SPLITS}
    found = {split: paths for split, paths in by_split.items() if paths}
    if not found:
        return {"train": files}, ()
    unread = [file for file in files if not any(file in paths for paths in found.values())]
    return found, (f"files not read, as others belong to a split by name: {_names(unread)}",) if unread else ()


def _of_split(split: str, files: Sequence[Path]) -> tuple[Path, ...]:
    exact = tuple(file for file in files if _EXACT.get(file.name.split(".")[0].lower()) == split)
    return exact or tuple(file for file in files if (word := _SPLIT_WORD.search(file.name)) and word.lastgroup == split)


def _listed(path: Path, files: Iterable[Path]) -> str:
    return f"{path} ({_names(files)})" if path.is_dir() else str(path)


def _names(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files) or "nothing"
