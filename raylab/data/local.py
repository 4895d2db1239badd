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

from raylab.data.declared import FILE, Declared, declared
from raylab.data.families.question_answering import read_example
from raylab.data.family import Examples, Family, Named, fitting, known
from raylab.data.passages import read_passages
from raylab.data.rows import Placed, Row, format_of, rows_of
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
    below = _below(data_dir, name) if data_dir is not None and not name.startswith(("~", ".", "/")) else None
    if below is None and is_path(name):
        path = Path(name).expanduser()
        if not path.exists():
            raise UserError(f"there is nothing at {name}. Expected a folder with files like train.jsonl, or one such file.")
        return path
    return below


def _below(data_dir: Path, name: str) -> Path | None:
    """The folder of that name, or the file: "fewglue/rte" is fewglue/rte.jsonl.gz."""
    folder, _, stem = name.rpartition("/")
    beside = _files(data_dir / folder) if folder and (data_dir / folder).is_dir() else ()
    found = [path for path in (data_dir / name,) if path.is_dir()] + [file for file in beside if name_of(file) == stem]
    return found[0] if found else None


def check_data_dir(data_dir: Path) -> None:
    """Raise UserError unless the folder is there."""
    if not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir} is no folder. Give one that holds a folder for each dataset.")


def name_of(path: Path) -> str:
    """The name of a dataset or corpus read from a path: its folder's, or its file's without endings."""
    return path.name.split(".")[0] if path.is_file() else path.resolve().name


def kinds(data_dir: Path) -> dict[str, str]:
    """The folders of `data_dir`, and of each what it holds: the name of a task's family, a corpus, or something else."""
    found: dict[str, str] = {}
    for folder in sorted(folder for folder in data_dir.iterdir() if folder.is_dir()):
        parts = several(folder)
        found |= {f"{folder.name}/{name_of(file)}": kind_of(file) for file in parts} if parts else {folder.name: kind_of(folder)}
    return found


def several(folder: Path) -> tuple[Path, ...]:
    """The files of a folder that hold a task each: none is a split by name, and they are of different kinds."""
    files = _files(folder)
    whole = not folder.is_dir() or declared(folder) or len(files) < 2 or any(_of_split(split, files) for split in SPLITS)
    return () if whole or len({kind_of(file) for file in files}) == 1 else files


def holds_folders(path: Path) -> bool:
    """Whether a folder holds no rows of its own, but folders that may."""
    return path.is_dir() and not _files(path) and any(folder.is_dir() for folder in path.iterdir())


def tasks(data_dir: Path) -> tuple[str, ...]:
    """The tasks of `data_dir`: its folders, and the files of folders that hold one task each ("fewglue/rte")."""
    return tuple(name for name, kind in kinds(data_dir).items() if kind not in (CORPUS, OTHER))


def corpora(data_dir: Path) -> tuple[str, ...]:
    """The folders of `data_dir` that hold texts with nothing to predict."""
    return tuple(name for name, kind in kinds(data_dir).items() if kind == CORPUS)


def kind_of(path: Path) -> str:
    """What a folder or file holds, by its first row."""
    try:
        _, row = _first(_files(path))
        family = _family(row, declared(path), name_of(path))
    except UserError:  # a broken neighbour must not spoil a listing; reading it says what is wrong
        return OTHER
    if family is not None:
        return family.name()
    return CORPUS if isinstance(row.get("text"), str) and not any(label in row for label in _LABELS) else OTHER


def read_examples(path: Path, files: Mapping[str, str]) -> tuple[type[Family], Examples]:
    """All examples at `path`, and their family. `files` names the file of a split (--splits) where its name does not say.

    Raises UserError for rows of no family, a broken row (file and line), a file that is not there, or no row at all.
    """
    said = declared(path)
    files = files or (said.splits if said else {})
    parts = () if files else several(path)
    if parts:
        raise UserError(
            f"{path} holds several tasks, one a file: {_names(parts)}. Name one of them, as {path.name}/{name_of(parts[0])}."
        )
    chosen, notes = _chosen(path, files) if files else _recognised(path)
    where, row = _first(itertools.chain(*chosen.values()))
    if not row:
        raise UserError(
            f"there is no readable row in {_listed(path, itertools.chain(*chosen.values()))}; expected one example a row."
        )
    family = _family(row, said, name_of(path))
    if family is None:
        if {"question", "answers"} & row.keys():
            read_example(row, where, "")  # meant as a question: says what is wrong with it as one
        raise UserError(
            f"{where} fits no family of tasks; it has {', '.join(row)}. Say in {FILE} beside it which columns mean what, "
            'e.g. {"family": "classification", "columns": {"text": ..., "label": ...}}.'
        )
    if said:
        said.check(family, row)
    read = family.read({split: _named(paths) for split, paths in chosen.items()}, said or family.datasets.get(name_of(path)))
    return family, replace(read, notes=(*notes, *read.notes))


def _family(row: Row, said: Declared | None, name: str) -> type[Family] | None:
    """The family of rows: as said, or that of the dataset of this name if they are its rows, or the one that fits."""
    if said and said.family:
        return said.family
    family, dataset = known().get(name, (None, None))
    return family if family is not None and family.knows(row, dataset) else fitting(row)


def read_corpus(path: Path, column: str | None = None) -> tuple[Passage, ...]:
    """All passages at `path`, each once: rows with `text` (and `title`), or the passages that questions carry. column: the
    one that holds the text, if it is another.

    Raises UserError for a broken row (file and line), a column that rows have not or a task predicts, or no row at all.
    """
    files = _files(path)
    if column is not None:
        _check_column(path, column, files)
    passages = {p.id: p for file in files for where, row in rows_of(file) for p in read_passages(row, where, column)}
    if not passages:
        raise UserError(f"there is no readable row in {_listed(path, files)}; expected one passage a row, as `text` and `title`.")
    return tuple(passages.values())


def _check_column(path: Path, column: str, files: Sequence[Path]) -> None:
    """Pretraining on what a task predicts would give its answers away."""
    _, row = _first(files)
    if row and column not in row:
        raise unknown(f"text column of {path}", column, row)
    family = _family(row, declared(path), name_of(path))
    if family is not None and column in family.targets(row):
        raise UserError(
            f"--text-column {column} is what the {family.name().replace('_', ' ')} rows of {path} predict: pretraining must not "
            f"read it. Name one of the others: {', '.join(name for name in row if name not in family.targets(row))}."
        )


def _first(files: Iterable[Path]) -> Placed:
    """The first row of the files, or an empty one."""
    return next(itertools.chain.from_iterable(map(rows_of, files)), ("", {}))


def _named(files: Iterable[Path]) -> Iterator[Named]:
    for file in files:
        stem = file.name.split(".")[0]
        yield from ((f"{stem}-{number}", where, row) for number, (where, row) in enumerate(rows_of(file), start=1))


def _files(path: Path) -> tuple[Path, ...]:
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple(
        file for file in candidates if file.is_file() and format_of(file) and not file.name.startswith(".") and file.name != FILE
    )


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
