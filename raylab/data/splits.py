"""Splits: made by hash where a dataset comes without them, kept apart where it comes with them.

An example's split depends on nothing but its own words, so it stays the same when rows are added, left out or
shuffled, and two spellings of one question, or two questions about one passage, never stand on both sides.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from raylab.data.family import Splits
from raylab.data.task import SPLITS, Example
from raylab.errors import UserError

DEV_SHARE, TEST_SHARE = 0.1, 0.1
T = TypeVar("T")


def complete(given: Splits, noun: str) -> tuple[Splits, tuple[str, ...]]:
    """The three splits and notes of what was done to make them.

    Without a test split, or without train, all rows are split 80/10/10. Where only dev is missing it is a tenth of
    train, so that a published test split stays what it is.
    """
    missing = [split for split in SPLITS if not given.get(split)]
    if not missing:
        return {split: tuple(given[split]) for split in SPLITS}, ()
    if missing == ["dev"]:
        made = {**_by_hash(given["train"], test_share=0.0), "test": tuple(given["test"])}
        return made, (f"no dev split was given: raylab made one of a tenth of train, by hash of the {noun} ({_sizes(made)})",)
    made = _by_hash([example for split in SPLITS for example in given.get(split, ())], test_share=TEST_SHARE)
    return made, (
        f"no {' and '.join(missing)} split was given: raylab split all rows 80/10/10 by hash of the {noun} ({_sizes(made)})",
    )


def keep_apart(splits: Splits, noun: str) -> tuple[Splits, tuple[str, ...]]:
    """Leave out of train what stands in dev or test as well, and out of dev what stands in test."""
    seen: set[str] = set()
    kept: dict[str, tuple[Example, ...]] = {}
    for split in reversed(SPLITS):
        kept[split] = tuple(example for example in splits[split] if example.identity() not in seen)
        seen.update(example.identity() for example in splits[split])
    left_out = {split: len(splits[split]) - len(kept[split]) for split in SPLITS}
    notes = tuple(
        f"{noun}s of {split} left out because they stand in a later split too: {count:,}"
        for split, count in left_out.items()
        if count
    )
    return {split: kept[split] for split in SPLITS}, notes


def sample(items: Sequence[T], limit: int | None, key: Callable[[T], str]) -> tuple[T, ...]:
    """At most `limit` of the items, chosen by hash of their key and not by their place, in their own order."""
    if limit is None or len(items) <= limit:
        return tuple(items)
    chosen = sorted(sorted(range(len(items)), key=lambda i: (unit_hash(key(items[i])), i))[:limit])
    return tuple(items[i] for i in chosen)


def check_filled(splits: Splits, why: str, noun: str) -> None:
    """Raise UserError if a split has no example left."""
    empty = [split for split in SPLITS if not splits[split]]
    if empty:
        raise UserError(
            f"no {noun} is left in {' and '.join(empty)} ({why}; {_sizes(splits)}); every split needs one at least. "
            "Give more rows, or name the files with --splits train=F,dev=F,test=F."
        )


def unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64


def _by_hash(examples: Iterable[Example], test_share: float) -> dict[str, tuple[Example, ...]]:
    made: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for example in examples:
        place = unit_hash(example.unit())
        made["dev" if place < DEV_SHARE else "test" if place < DEV_SHARE + test_share else "train"].append(example)
    return {split: tuple(rows) for split, rows in made.items()}


def _sizes(splits: Splits) -> str:
    return ", ".join(f"{split} {len(splits[split]):,}" for split in SPLITS)
