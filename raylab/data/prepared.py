"""A task made ready for training: one folder with tokens, tokenizer, questions and annotations, keyed by content.

    STORAGE/data/<fingerprint>/
        tokenizer/    *.npy    texts.txt    examples/    ids/    offsets/    annotations/    meta.json
        sources/<task>/    examples/    ids/    offsets/    meta.json

Its name is the data fingerprint that run keys are made of. Lanes open it by path and map it into memory.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from raylab.data.annotation import Annotation
from raylab.data.corpus import Corpus, tokenise
from raylab.data.family import family_of
from raylab.data.files import written_once
from raylab.data.stored import StoredExamples, StoredIds, example_of
from raylab.data.task import QUESTION_ANSWERING, SPLITS, TaskData
from raylab.data.tokenizer import ids_of, load_tokenizer, offsets_of, save_tokenizer, symbols_of, train_bpe
from raylab.errors import UserError
from raylab.masking.corrupt import Symbols
from raylab.recipe import digest

SOURCES = "sources"
PREPARATION_VERSION = 1  # raised when the same data would be prepared otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """How a task becomes tokens. tokenizer: a name or path, or None for a byte-level BPE of `vocab_size` trained on
    the corpus and the train questions. max_tokens: the longest passage window, question or answer."""

    tokenizer: str | None = None
    vocab_size: int = 2000
    max_tokens: int = 64


def prepare(
    data: TaskData, content: str, how: Preparation, storage: Path, annotations: Iterable[Annotation] = (),
    sources: Mapping[str, TaskData] | None = None,
) -> "Prepared":  # fmt: skip
    """Tokenise and annotate `data` into its folder below `storage`, unless it stands there already.

    content: the hash of `data` (raylab.data.source.fingerprint). sources: other tasks that are learned before it, by their
    hashes. All of them are in the fingerprint, also for recipes that mix only some: they share one tokenizer, which may be
    trained on all their texts. Raises UserError for two of one name, or one of the task's own.
    """
    sources = sources or {}
    _check_names([data, *sources.values()])
    identity = [content, asdict(how) | {"tokenizer": _content(how.tokenizer)}, PREPARATION_VERSION]
    fingerprint = digest([*identity, sorted(sources)] if sources else identity)
    folder = storage / "data" / fingerprint
    if not folder.exists():
        with written_once(folder) as temporary:
            _write(data, tuple(sources.values()), how, temporary)
    prepared = Prepared(folder)
    prepared.tokenise()
    for annotation in annotations:
        prepared.corpus.annotate(annotation)
    return prepared


def _content(tokenizer: str | None) -> str | None:
    """What a pretrained tokenizer does, whatever its name. Raises UserError if it cannot serve."""
    if tokenizer is None:
        return None
    loaded = load_tokenizer(tokenizer)
    return digest([loaded.backend_tokenizer.to_str(), asdict(symbols_of(loaded))])


def _check_names(tasks: Sequence[TaskData]) -> None:
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two tasks are named {name!r}, which would share a head. Leave one out, or rename its folder.")


def _write(data: TaskData, sources: Sequence[TaskData], how: Preparation, folder: Path) -> None:
    folder.mkdir()
    texts = (text for task in (data, *sources) for text in _training_text(task))
    tokenizer = load_tokenizer(how.tokenizer) if how.tokenizer else train_bpe(texts, how.vocab_size)
    save_tokenizer(tokenizer, folder / "tokenizer")
    Corpus.write(tokenise(data.corpus, tokenizer, how.max_tokens), folder)
    for source in sources:
        (folder / SOURCES / source.name).mkdir(parents=True)
        _write_task(source, how, folder / SOURCES / source.name)
    _write_task(data, how, folder)


def _write_task(data: TaskData, how: Preparation, folder: Path) -> None:
    (folder / "examples").mkdir()
    for split in SPLITS:
        StoredExamples.write(data.splits[split], folder / "examples" / f"{split}.jsonl")
    meta = {"task": data.name, "max_tokens": how.max_tokens, "family": data.family, "labels": data.labels}
    (folder / "meta.json").write_text(json.dumps(meta, ensure_ascii=False), encoding="utf-8")


def _training_text(data: TaskData) -> Iterable[str]:
    yield from (f"{p.title}: {p.text}" for p in data.corpus)
    for example in data.splits["train"]:
        yield from family_of(data.family).fields_of(example)


class Prepared:
    """A prepared task, opened. Cheap to open; everything large is mapped: its size on disk is not its size in memory."""

    def __init__(self, folder: Path, *, beside: "Prepared | None" = None) -> None:
        self.folder, self._beside = folder, beside
        self.fingerprint = folder.name
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self.task: str = meta["task"]
        self.max_tokens: int = meta["max_tokens"]
        self.family: str = meta.get("family", QUESTION_ANSWERING)
        self.labels: tuple[str, ...] = tuple(meta.get("labels", ()))
        self._ids: dict[tuple[str, str, str], StoredIds] = {}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its own, or that of the task it is a source of."""
        return self._beside.tokenizer if self._beside else load_tokenizer(str(self.folder / "tokenizer"))

    @cached_property
    def sources(self) -> dict[str, "Prepared"]:
        """The tasks that were prepared to be learned before this one, by name."""
        folders = sorted((self.folder / SOURCES).glob("*"))
        return {folder.name: Prepared(folder, beside=self) for folder in folders}

    @cached_property
    def symbols(self) -> Symbols:
        return symbols_of(self.tokenizer)

    @cached_property
    def corpus(self) -> Corpus:
        return Corpus(self.folder, len(self.tokenizer))

    @cached_property
    def splits(self) -> dict[str, Sequence[Any]]:
        """The examples of each split, of the family's class."""
        example, folder = family_of(self.family).example, self.folder / "examples"
        if folder.exists():
            return {split: StoredExamples(folder / f"{split}.jsonl", example) for split in SPLITS}
        earlier = json.loads((self.folder / "examples.json").read_text(encoding="utf-8"))  # as questions were prepared at first
        return {split: tuple(example_of(example, e) for e in earlier[split]) for split in SPLITS}

    def ids(self, split: str, field: str) -> StoredIds:
        """Token ids of a field of every example of a split (Family.fields says of which); tokenised once, then mapped."""
        return self._stored("ids", split, field, ids_of)

    def offsets(self, split: str, field: str) -> StoredIds:
        """Where each of those tokens begins and ends in its text, in characters, one after the other."""
        return self._stored("offsets", split, field, offsets_of)

    def tokenise(self) -> None:
        """Let the ids that training reads stand there before anybody asks for them: of the train split, and of its sources'."""
        family = family_of(self.family)
        for field in family.fields:
            self.ids("train", field)
        for field in family.pointed_at:
            self.offsets("train", field)
        for source in self.sources.values():
            source.tokenise()

    def _stored(
        self, what: str, split: str, field: str, of: Callable[[PreTrainedTokenizerBase, Sequence[str]], Any]
    ) -> StoredIds:
        if (what, split, field) not in self._ids:
            values = (getattr(example, field) for example in self.splits[split])
            texts = ((value,) if isinstance(value, str) else value for value in values)
            folder = self.folder / what / f"{split}-{field}"
            self._ids[what, split, field] = StoredIds.of(folder, texts, lambda chunk: of(self.tokenizer, chunk))
        return self._ids[what, split, field]
