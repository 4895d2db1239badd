"""Rows of a table on the Hugging Face Hub: streamed, capped, and kept as JSON lines for the next time.

What was read once is found again without a network below the Hugging Face home (`HF_HOME`), in `raylab/`. A file
there is named by table, split and how many rows were asked for; it also answers every request for fewer.
"""

import contextlib
import gzip
import itertools
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raylab.data.rows import Placed, Row, rows_of
from raylab.errors import UserError

TIMEOUT_S = 4.0  # how long the Hub may take to say that it is there
CONVERTED = "refs/convert/parquet"
_ALL = "all"
_log = logging.getLogger(__name__)


class HubUnreachable(UserError):
    """The Hub did not answer, and the rows are not in the cache. `reason` is why, as half a sentence."""

    def __init__(self, table_id: str, why: str) -> None:
        self.reason = f"{table_id} is not in the Hub's cache on this machine and could not be read from the Hub ({why})"
        super().__init__(f"{self.reason}. Connect to the network, give local files with --data-dir, or use --source builtin.")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubTable:
    """One configuration of a dataset on the Hub; `columns` are those worth reading."""

    id: str
    config: str | None = None
    columns: tuple[str, ...]


def rows(table: HubTable, split: str, limit: int | None) -> Iterator[Placed]:
    """The first `limit` rows (None: all) of a split of the Hub's, each with its place; from the cache if they are there.

    Raises HubUnreachable if they are neither in the cache nor to be had.
    """
    path = cached(table, split, limit)
    if path is not None:
        return itertools.islice(rows_of(path), limit)
    fetched = _fetch(table, split, limit)
    _store(fetched, table, split, limit)
    return ((f"{table.id}, {split}, row {number}", row) for number, row in enumerate(fetched, start=1))


def cached(table: HubTable, split: str, limit: int | None) -> Path | None:
    """The cache file that holds at least the first `limit` rows, or None."""
    sizes = {path.name.split(".")[-3]: path for path in _folder(table).glob(f"{split}.*.jsonl.gz")}
    if _ALL in sizes:
        return sizes[_ALL]
    enough = [int(size) for size in sizes if size.isdigit() and limit is not None and int(size) >= limit]
    return sizes[str(min(enough))] if enough else None


def _folder(table: HubTable) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "raylab" / re.sub(r"[^\w.-]+", "--", f"{table.id}/{table.config or 'default'}")


def _fetch(table: HubTable, split: str, limit: int | None) -> list[Row]:
    """The rows from the Hub; offline by HF_HUB_OFFLINE, from what `datasets` itself has prepared on this machine."""
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    try:
        if not offline:
            _knock(table)
        stream = _opened(table, split, streaming=not offline)
        return list(itertools.islice(stream.select_columns(list(table.columns)), limit))
    except Exception as error:  # the Hub's clients raise what their own libraries raise; the cause is kept
        why = "HF_HUB_OFFLINE is set" if offline else _why(error)
        raise HubUnreachable(table.id, why) from error


def _opened(table: HubTable, split: str, *, streaming: bool) -> Any:
    """The table as `datasets` gives it. Where its repository holds a script, which `datasets` no longer runs since its version 4,
    the Hub's own conversion to parquet takes its place."""
    import datasets

    try:
        return datasets.load_dataset(table.id, table.config, split=split, streaming=streaming)
    except RuntimeError as error:
        if "scripts are no longer supported" not in str(error):
            raise
    files = {split: f"{table.config or '*'}/{split}/*.parquet"}
    return datasets.load_dataset(table.id, data_files=files, revision=CONVERTED, split=split, streaming=streaming)


def _knock(table: HubTable) -> None:
    """One request with a short time-out: `load_dataset` alone retries for half a minute where there is no network."""
    from huggingface_hub import HfApi

    HfApi().dataset_info(table.id, timeout=TIMEOUT_S)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _store(fetched: Sequence[Row], table: HubTable, split: str, limit: int | None) -> None:
    """Write the rows to the cache, whole or not at all. A full or read-only disk stops caching, not the run."""
    size = str(limit) if limit is not None and len(fetched) == limit else _ALL
    path = _folder(table) / f"{split}.{size}.jsonl.gz"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(partial, "wt", encoding="utf-8", compresslevel=3) as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in fetched)
        os.replace(partial, path)
    except OSError as error:
        _log.warning("the rows of %s could not be kept at %s (%s); they will be fetched again next time", table.id, path, error)
        with contextlib.suppress(OSError):
            partial.unlink()
