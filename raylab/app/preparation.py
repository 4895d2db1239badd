"""From the data options and a base model to data that are ready to train on."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from raylab.data.annotation import Annotation
from raylab.data.family import family_of
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.remembered import content_of, load_again
from raylab.data.source import DataRequest
from raylab.data.task import SPLITS, TaskData
from raylab.errors import UserError
from raylab.models.build import checkpoint_config, longest_text
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec
from raylab.storage import Storage


def load_prepared(
    request: DataRequest, base: ModelSpec, storage: Path, annotations: Iterable[Annotation] = ()
) -> tuple[TaskData, Prepared]:
    """Load the task and make it ready for `base` below `storage`."""
    data = load_for(request, base.pretrained)
    return data, ready(data, base, storage, annotations)


def load_for(request: DataRequest, pretrained: str | None) -> TaskData:
    """Load the task. A checkpoint without weights is told before the data are read."""
    if pretrained is not None:
        checkpoint_config(pretrained)
    return load_again(request)


def ready(
    data: TaskData,
    base: ModelSpec,
    storage: Path,
    annotations: Iterable[Annotation] = (),
    sources: Mapping[str, TaskData] | None = None,
) -> Prepared:
    """The task made ready for `base` below `storage`, with the tasks that may be learned before it, by their content."""
    return prepare(data, content_of(data), preparation_for(base), storage, annotations, sources)


def preparation_for(base: ModelSpec) -> Preparation:
    """The tokenizer that goes with a base model, and the longest passage at its scale."""
    size = SIZES[base.scale]
    max_tokens = longest_text(base, size.max_tokens)
    return Preparation(tokenizer=base.pretrained or base.embeddings, vocab_size=size.vocab_size, max_tokens=max_tokens)


def described(data: TaskData, prepared: Prepared) -> dict[str, object]:
    """What the ledger, the report and MLflow say about the data."""
    return {
        "name": data.name,
        "source": data.source,
        "version": data.version,
        "corpus": data.corpus_name,
        "fingerprint": prepared.fingerprint,
        "family": data.family,
        f"{family_of(data.family).noun}s": {split: len(data.splits[split]) for split in SPLITS},
        **({"labels": list(data.labels)} if data.labels else {}),
        "passages": len(data.corpus),
        "rendered_passages": sum(p.rendered for p in data.corpus),
        "windows": len(prepared.corpus),
        "tokens": len(prepared.corpus.tokens_N),
        "vocabulary": len(prepared.tokenizer),
        "max_tokens": prepared.max_tokens,
        **(
            {"sources": {name: len(source.splits["train"]) for name, source in prepared.sources.items()}}
            if prepared.sources
            else {}
        ),
        "notes": list(data.notes),
        "warnings": list(data.warnings),
    }


def usable(storage: Storage) -> Storage:
    """`storage`, its folder made if need be. Raises UserError where nothing can be written, here or in the bucket."""
    folder = storage.here
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"raylab" * 1024)
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror}. Give another folder with "
            f"{'RAYLAB_CACHE' if storage.bucket else '--storage'}, with room and yours to write in."
        ) from error
    storage.check()
    return storage
