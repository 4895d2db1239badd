"""Where a task's data come from: chosen in the open, and said in the result.

`load` takes a request to a TaskData. The source `auto` takes local files if any are named, then what the Hub's cache
holds, then the Hub, then the built-in atlas: under the atlas's own name, with a warning for the headline.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from raylab.data import hub, local
from raylab.data.assembly import Limits, Texts, assemble, narrow
from raylab.data.corpora import CORPORA, Corpus
from raylab.data.family import Dataset, Examples, Family, family_of, known
from raylab.data.passages import read_passages
from raylab.data.task import QUESTION_ANSWERING, SPLITS, Passage, TaskData
from raylab.errors import UserError, unknown
from raylab.recipe import canonical, encode

ATLAS = "atlas"
STAND_INS = {
    "classification": "atlas_topic", "regression": "atlas_similarity", "multiple_choice": "atlas_choice", "span": "atlas_span",
    "tagging": "atlas_names", "generation": "atlas_title",
}  # fmt: skip
Source = Literal["auto", "local", "hub", "builtin"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRequest:
    """What data a person asked for.

    dataset: a name, or the path of a folder or file. data_dir: a folder with a folder for each dataset and corpus.
    corpus: a name or path, a task's among them, for its own text; None for the passages that come with the questions, or the
    task's own text. text_column: where the corpus's rows have their text. splits: file names by split (local).
    answerable_only: keep only questions of which an alias stands in the corpus. max_examples: at most so many
    questions of each split; max_passages: at most so many passages; None for all.
    """

    dataset: str
    source: Source = "auto"
    data_dir: Path | None = None
    corpus: str | None = None
    text_column: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    answerable_only: bool = True
    max_examples: int | None = None
    max_passages: int | None = None

    def __post_init__(self) -> None:
        for option, limit in (("--max-examples", self.max_examples), ("--max-passages", self.max_passages)):
            if limit is not None and limit < 1:
                raise UserError(f"{option} is {limit}; expected 1 or more. Leave it out to read all.")

    @property
    def limits(self) -> Limits:
        """What of the data is kept once they are read."""
        return Limits(answerable_only=self.answerable_only, examples=self.max_examples, passages=self.max_passages)


def load(request: DataRequest) -> TaskData:
    """The task, ready to train on. Raises UserError for whatever is wrong with the request or the files."""
    path = local_path(request)
    if path is not None:
        return _from_local(request, path)
    if request.splits:
        raise UserError(
            f"--splits names local files, but {request.dataset} is not read from any. Give --data-dir, or leave it out."
        )
    if request.dataset in builtin() or request.source == "builtin":
        return _from_atlas(request, "--source builtin was asked for")
    try:
        return _from_hub(request, *known()[request.dataset])
    except hub.HubUnreachable as unreachable:
        if request.source == "hub":
            raise
        return _from_atlas(request, unreachable.reason)


def fingerprint(data: TaskData) -> str:
    """20 hexadecimal digits over the content of splits and corpus: the same for equal content, wherever it came from."""
    content = hashlib.blake2b(digest_size=10)
    if data.family != QUESTION_ANSWERING:
        content.update(canonical([data.family, data.labels]).encode())
    for split in SPLITS:
        content.update(canonical([split, encode(tuple(data.splits[split]))]).encode())
    content.update(canonical(encode(tuple(data.corpus))).encode())
    return content.hexdigest()


def known_datasets(data_dir: Path | None) -> tuple[str, ...]:
    """All names `--dataset` takes: those of the tables, the built-in ones, and the folders of `data_dir`."""
    return tuple(sorted({*known(), *builtin(), *(local.tasks(data_dir) if data_dir else ())}))


def builtin() -> tuple[str, ...]:
    """The names of the tasks that come with raylab."""
    from raylab.data.atlas.tasks import TASKS

    return (ATLAS, *TASKS)


def local_path(request: DataRequest) -> Path | None:
    """Where the questions lie on this machine, or None if they are to be read from elsewhere."""
    name, source, data_dir = request.dataset, request.source, request.data_dir
    if name in builtin() or source in ("hub", "builtin"):
        _check_elsewhere(name, source)
        return None
    path = local.find(name, data_dir)
    if path is None and name not in known():
        raise unknown("dataset", name, known_datasets(data_dir), f"A folder is given by its path, e.g. ./{name}.")
    if path is None and data_dir is not None:
        held = ", ".join(local.tasks(data_dir)) or "none"
        raise UserError(
            f"--data-dir {data_dir} has no folder {name!r}; with tasks there are: {held}. "
            "Name one of these, or leave --data-dir out for the Hub."
        )
    if path is None and source == "local":
        raise UserError(f"--source local needs files: give --data-dir DIR with DIR/{name}/, or a folder's path as --dataset.")
    return path


def _check_elsewhere(name: str, source: Source) -> None:
    if local.is_path(name):
        raise UserError(f"--dataset {name} is a path, which --source {source} does not read. Use --source local or auto.")
    if name in builtin() and source in ("hub", "local"):
        raise UserError(f"--dataset {name} comes with raylab, not from --source {source}. Use --source builtin or auto.")
    if name not in (*builtin(), *known()):
        raise unknown("dataset", name, known_datasets(None))


def _from_local(request: DataRequest, path: Path) -> TaskData:
    name = local.name_of(path)
    texts = _texts(request, request.corpus) if request.corpus is not None else None
    family, examples = local.read_examples(path, request.splits)
    if texts is None and examples.passages:
        texts = Texts(name=f"{name} passages", passages=examples.passages)
    if texts is None and family.name() == QUESTION_ANSWERING:
        raise UserError(
            f"{name} needs a corpus, as its rows carry no passages: give --corpus NAME_OR_PATH{_corpora_hint(request)}."
        )
    version = known()[name][1].version if name in known() else 1
    return assemble(examples, texts, request.limits, family=family, name=name, source=f"local:{path}", version=version)


def _corpora_hint(request: DataRequest) -> str:
    found = local.corpora(request.data_dir) if request.data_dir is not None else ()
    return (
        f"; in {request.data_dir} there are {', '.join(found)}"
        if found
        else f"; known by name are {', '.join([ATLAS, *CORPORA])}"
    )


def _from_hub(request: DataRequest, family: type[Family], dataset: Dataset) -> TaskData:
    texts = _texts(request, request.corpus) if request.corpus is not None else None
    rows = {
        split: [(f"{there}-{n}", *placed) for n, placed in enumerate(hub.rows(dataset.hub, there, request.max_examples), start=1)]
        for split, there in dataset.splits.items()
    }
    examples = family.read(rows, dataset)
    if texts is None and dataset.corpus:
        texts = _texts(request, dataset.corpus)
    return assemble(
        examples, texts, request.limits, family=family, name=dataset.name, source=f"hub:{dataset.hub.id}",
        version=dataset.version,
    )  # fmt: skip


def _from_atlas(request: DataRequest, reason: str) -> TaskData:
    from raylab.data import atlas  # here, because the packages it is made of take time to import
    from raylab.data.atlas.tasks import load_task

    name = request.dataset if request.dataset in builtin() else _stand_in(*known()[request.dataset])
    warning = f"this is not {request.dataset}: {reason}, so the {_about(name)} stands in its place"
    instead = (warning,) if name != request.dataset else ()
    if name != ATLAS:
        texts = _texts(request, request.corpus) if request.corpus is not None else None
        return replace(load_task(name, request.limits, texts), warnings=instead)
    data = atlas.load()
    if instead:
        return narrow(data, request.limits, warnings=instead)
    if request.corpus in (None, ATLAS):
        return narrow(data, request.limits)
    texts = _texts(request, str(request.corpus))
    return assemble(
        Examples(splits=data.splits), texts, request.limits, family=family_of(data.family), name=data.name, source=data.source,
        version=data.version,
    )  # fmt: skip


def _stand_in(family: type[Family], dataset: Any) -> str:
    """The built-in task that is most like one of this family."""
    pair = family.name() == "classification" and "text_b" in dataset.columns
    return "atlas_entailment" if pair else STAND_INS.get(family.name(), ATLAS)


def _about(name: str) -> str:
    return "built-in atlas (questions and passages)" if name == ATLAS else f"built-in task {name}"


def _texts(request: DataRequest, name: str) -> Texts:
    """A corpus by path, from the data folder, built in, or from the Hub. Raises UserError for an unknown name."""
    path = local.find(name, request.data_dir)
    if request.text_column is None and (texts := _own_texts(request, name, path)):
        return texts
    if path is not None:
        return Texts(name=local.name_of(path), passages=local.read_corpus(path, request.text_column))
    if request.text_column is not None:
        raise UserError(f"--text-column says where the rows of local files have their text; --corpus {name} is no such files.")
    if name == ATLAS:
        from raylab.data import atlas

        return Texts(name=ATLAS, passages=atlas.load().corpus)
    if name not in CORPORA:
        own = local.corpora(request.data_dir) if request.data_dir is not None else ()
        raise unknown("corpus", name, {*builtin(), *CORPORA, *own}, f"A folder or file is given by its path, e.g. ./{name}.")
    return _texts_from_hub(CORPORA[name], request.max_passages)


def _own_texts(request: DataRequest, name: str, path: Path | None) -> Texts | None:
    """The text of another task's train split, without its labels; None if the name is no task's, or that of questions."""
    source: Source = "local" if path is not None else "builtin" if name in builtin() else "hub"
    if path is not None:
        kind = local.kind_of(path)
    else:
        kind = known()[name][0].name() if name in known() else local.OTHER if name not in builtin() or name == ATLAS else name
    if kind in (local.CORPUS, local.OTHER, QUESTION_ANSWERING):
        return None
    data = load(replace(request, dataset=name, source=source, corpus=None, splits={}, max_examples=None))
    return Texts(name=data.corpus_name, passages=data.corpus)


def _texts_from_hub(corpus: Corpus, limit: int | None) -> Texts:
    most = limit or corpus.passages
    passages: dict[str, Passage] = {}
    for where, row in hub.rows(corpus.hub, corpus.split, most):
        if row["text"].strip():  # the Hub's WikiText has empty lines as rows
            passages.update((p.id, p) for p in read_passages(row, where))
    notes = (f"the first {most:,} rows of {corpus.hub.id} are its corpus",) if most else ()
    return Texts(name=corpus.name, passages=tuple(passages.values()), notes=notes)
