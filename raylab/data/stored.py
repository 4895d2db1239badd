"""Examples and token ids in files that are mapped into memory: what is read of them takes memory, not their number."""

import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np

from raylab.data.files import written_once
from raylab.data.task import Example, Passage

CHUNK = 4096  # texts a call of the tokenizer: bounds memory


class StoredExamples(Sequence[Any]):
    """The examples of a split, or the passages of a corpus, one JSON object a line, each read when it is asked for."""

    def __init__(self, path: Path, kind: Callable[..., Any]) -> None:
        self.path, self._kind = path, kind
        self._ends_E = np.load(path.with_suffix(".npy"), mmap_mode="r")
        with open(path, "rb") as file:  # an empty file cannot be mapped
            self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""

    @staticmethod
    def write(examples: Iterable[Example | Passage], path: Path) -> None:
        """Write examples to `path`, a .jsonl file, and where each ends, in bytes, beside it."""
        ends = []
        with open(path, "wb") as file:
            for example in examples:
                file.write(json.dumps(asdict(example), ensure_ascii=False).encode() + b"\n")
                ends.append(file.tell())
        np.save(path.with_suffix(".npy"), np.array(ends, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._ends_E)

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return tuple(self[i] for i in range(*at.indices(len(self))))
        place = range(len(self))[at]
        start = int(self._ends_E[place - 1]) if place else 0
        return example_of(self._kind, json.loads(self._lines[start : int(self._ends_E[place])]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def example_of(kind: Callable[..., Any], stored: dict[str, Any]) -> Any:
    """An example from its JSON form: lists are the tuples that they were."""
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()})


class StoredIds(Sequence[list[int]]):
    """The token ids of one text of each example, with nothing set before or after; or of each of several texts ("choices",
    "tokens"), laid end to end, with `parts` to tell them apart."""

    def __init__(self, folder: Path) -> None:
        self._tokens_N, self._bounds_T1, self._texts_E1 = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "bounds", "texts")
        )

    @classmethod
    def of(cls, folder: Path, texts: Iterable[Sequence[str]], ids_of: Callable[[list[str]], list[list[int]]]) -> "StoredIds":
        """The ids of every example's texts, written to `folder` unless they stand there."""
        if not folder.exists():
            with written_once(folder) as temporary:
                temporary.mkdir()
                cls._write(temporary, iter(texts), ids_of)
        return cls(folder)

    @staticmethod
    def _write(folder: Path, texts: Iterator[Sequence[str]], ids_of: Callable[[list[str]], list[list[int]]]) -> None:
        counts, lengths = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
        with open(folder / "tokens.bin", "wb") as file:
            while chunk := list(islice(texts, CHUNK)):
                ids = ids_of([text for one in chunk for text in one])
                counts.append(np.array([len(one) for one in chunk], dtype=np.int64))
                lengths.append(np.array([len(row) for row in ids], dtype=np.int64))
                np.fromiter((token for row in ids for token in row), dtype=np.uint32).tofile(file)
        bounds_T1, texts_E1 = np.cumsum(np.concatenate(lengths)), np.cumsum(np.concatenate(counts))
        np.save(folder / "bounds.npy", bounds_T1)
        np.save(folder / "texts.npy", texts_E1)
        tokens_N = np.lib.format.open_memmap(folder / "tokens.npy", mode="w+", dtype=np.uint32, shape=(int(bounds_T1[-1]),))
        if len(tokens_N):
            tokens_N[:] = np.memmap(folder / "tokens.bin", dtype=np.uint32, mode="r")
        (folder / "tokens.bin").unlink()

    def __len__(self) -> int:
        return len(self._texts_E1) - 1

    @overload
    def __getitem__(self, at: int) -> list[int]: ...
    @overload
    def __getitem__(self, at: slice) -> list[list[int]]: ...
    def __getitem__(self, at: int | slice) -> Any:
        """All ids of an example, of a text or of several, end to end."""
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        first, last = self._texts(at)
        return self._tokens_N[self._bounds_T1[first] : self._bounds_T1[last]].tolist()

    def parts(self, at: int) -> list[list[int]]:
        """The ids of each of an example's texts."""
        first, last = self._texts(at)
        return [self._tokens_N[start:end].tolist() for start, end in pairwise(self._bounds_T1[first : last + 1].tolist())]

    @cached_property
    def lengths(self) -> np.ndarray:
        """How many tokens each example has."""
        lengths: np.ndarray = np.diff(self._bounds_T1[self._texts_E1])
        return lengths

    @cached_property
    def counts(self) -> np.ndarray:
        """How many texts each example has."""
        counts: np.ndarray = np.diff(self._texts_E1)
        return counts

    @cached_property
    def part_lengths(self) -> np.ndarray:
        """How many tokens each text has, all examples' texts one after the other."""
        lengths: np.ndarray = np.diff(self._bounds_T1)
        return lengths

    def _texts(self, at: int) -> tuple[int, int]:
        place = range(len(self))[at]
        return int(self._texts_E1[place]), int(self._texts_E1[place + 1])
