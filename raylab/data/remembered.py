"""What was loaded before, found again without reading its rows.

    CACHE/loaded/<key>/    examples/    corpus.jsonl    meta.json
    CACHE/counted/<key>

The key is made of the request, of the names, sizes and times of the files that it reads, and of those of the code that reads
them; so a file that is changed is read again. The examples and passages are mapped, not held in memory. CACHE is RAYLAB_CACHE,
or `raylab` in the user's cache folder; what lies there may be deleted at any time.
"""

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from raylab.data import hub, local
from raylab.data.family import Family, family_of, known
from raylab.data.files import written_once
from raylab.data.source import DataRequest, builtin, fingerprint, load, local_path
from raylab.data.stored import StoredExamples
from raylab.data.task import SPLITS, Passage, TaskData
from raylab.recipe import digest, encode
from raylab.storage import cache_folder

FOLDER, COUNTED = "loaded", "counted"
_CODE = Path(__file__).parent
_log = logging.getLogger(__name__)


def load_again(request: DataRequest) -> TaskData:
    """The task as `load` gives it. Raises UserError as that does; a full or read-only disk stops remembering alone."""
    files = _files(request)
    if files is None:
        return load(request)
    folder = cache_folder() / FOLDER / digest([str(encode(request)), _stamps(files), _stamps(_code())])
    if not folder.exists():
        data = load(request)
        try:
            with written_once(folder) as temporary:
                _write(data, temporary)
        except OSError as error:
            _log.warning("%s could not be remembered at %s (%s); it will be read again next time", data.name, folder, error)
            return data
    return _read(folder)


def content_of(data: TaskData) -> str:
    """The fingerprint of a task: as it was remembered, if it is just what was remembered, else counted anew."""
    parts = [getattr(part, "path", None) for part in (*(data.splits[split] for split in SPLITS), data.corpus)]
    folder = parts[-1].parent if parts[-1] else None
    if folder is None or parts != [*_splits(folder), folder / "corpus.jsonl"]:
        return fingerprint(data)
    meta = _meta(folder)
    same = (meta["family"], tuple(meta["labels"])) == (data.family, data.labels)
    return str(meta["fingerprint"]) if same else fingerprint(data)


def counted_again(what: str, tasks: Iterable[str], count: Callable[[], float]) -> float:
    """A figure of tasks, given by their contents (`content_of`), that takes reading them. what: its name, with a version of how
    it is counted."""
    path = cache_folder() / COUNTED / digest([what, *tasks])
    if path.exists():
        return float(path.read_text(encoding="utf-8"))
    figure = count()
    try:
        with written_once(path) as temporary:
            temporary.write_text(repr(figure), encoding="utf-8")
    except OSError as error:
        _log.warning("%s could not be remembered at %s (%s); it will be counted again next time", what, path, error)
    return figure


def _write(data: TaskData, folder: Path) -> None:
    (folder / "examples").mkdir(parents=True)
    for split, path in zip(SPLITS, _splits(folder), strict=True):
        StoredExamples.write(data.splits[split], path)
    StoredExamples.write(data.corpus, folder / "corpus.jsonl")
    fields = {name: getattr(data, name) for name in TaskData.__dataclass_fields__ if name not in ("splits", "corpus")}
    (folder / "meta.json").write_text(json.dumps(fields | {"fingerprint": fingerprint(data)}), encoding="utf-8")


def _read(folder: Path) -> TaskData:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in _meta(folder).items()}
    del fields["fingerprint"]
    kind = family_of(fields["family"]).example
    splits: dict[str, Any] = {split: StoredExamples(path, kind) for split, path in zip(SPLITS, _splits(folder), strict=True)}
    corpus: Any = StoredExamples(folder / "corpus.jsonl", Passage)
    return TaskData(splits=splits, corpus=corpus, **fields)


def _meta(folder: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return meta


def _splits(folder: Path) -> list[Path]:
    return [folder / "examples" / f"{split}.jsonl" for split in SPLITS]


def _files(request: DataRequest) -> list[Path] | None:
    """All files that a request reads, or None where that is not known beforehand."""
    found = [_of_task(request), _of_corpus(request)]
    return None if any(files is None for files in found) else [file for files in found for file in files or ()]


def _of_task(request: DataRequest) -> Iterable[Path] | None:
    path = local_path(request)
    if path is not None:
        return _below(path)
    if request.dataset in builtin():
        return ()
    _, dataset = known()[request.dataset]
    if request.source == "builtin" or dataset.corpus:
        return None
    cached = [hub.cached(dataset.hub, there, request.max_examples) for there in dataset.splits.values()]
    return None if None in cached else [path for path in cached if path]


def _of_corpus(request: DataRequest) -> Iterable[Path] | None:
    if request.corpus is None or request.corpus in builtin():
        return ()
    path = local.find(request.corpus, request.data_dir)
    return _below(path) if path is not None else None


def _below(path: Path) -> Iterable[Path]:
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def _code() -> Iterable[Path]:
    """What reads the files: raylab's data side, and a user's own families."""
    return sorted({*_CODE.rglob("*.py"), *Family.registry.files()})


def _stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    return [(str(file.resolve()), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
