"""Texts and pairs of texts as a model reads them: what stands before, between and after is the tokenizer's own, if it has any."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from raylab.data.tokenizer import ids_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Token ids of every example, and where its second text begins (its length, if it has none)."""

    ids: Sequence[Sequence[int]]
    second_starts: Sequence[int]


def inputs_of(tokenizer: PreTrainedTokenizerBase, firsts: Sequence[str], seconds: Sequence[str], max_tokens: int) -> Inputs:
    """`cls first sep` or `cls first sep second sep`, at most `max_tokens` long, special ones included.

    cls is left out where the tokenizer has none; in place of sep stands eos where it has none. A pair that is too long is cut
    at the end of the longer text, so that as much as can be is left of both.
    """
    before = [] if tokenizer.cls_token_id is None else [tokenizer.cls_token_id]
    sep = tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    ids, starts = [], []
    for first, second in zip(ids_of(tokenizer, firsts), ids_of(tokenizer, seconds), strict=True):
        room = max_tokens - len(before) - 1 - bool(second)
        ones, others = _cut(len(first), len(second), room)
        head = [*before, *first[:ones], sep]
        ids.append([*head, *second[:others], sep] if second else head)
        starts.append(len(head))
    return Inputs(ids=ids, second_starts=starts)


def _cut(first: int, second: int, room: int) -> tuple[int, int]:
    """How much is kept of two texts of these lengths: all, or else equal parts of the room, as far as both are that long."""
    if first + second <= room:
        return first, second
    half = max(room // 2, room - min(first, second))
    return (min(first, half), room - min(first, half)) if first >= second else (room - min(second, half), min(second, half))


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids (B, T), and where there are any (B, T)."""
    lengths_B = np.array([len(row) for row in rows])
    there_BT = np.arange(lengths_B.max(initial=1)) < lengths_B[:, None]
    ids_BT = np.full(there_BT.shape, pad, dtype=np.int64)
    ids_BT[there_BT] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return ids_BT, there_BT
