"""Sequences of many lengths laid end to end, and what the tasks do with all of them at once.

Letters: R rows, R1 = R + 1 boundaries, N tokens of all rows, C candidates, D distinct (row, token) pairs, P parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raylab.masking.sampling import bounds

_RANDOM_BITS = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """R sequences of token ids. tokens_N: end to end; starts_R1: where each begins, and last N."""

    tokens_N: np.ndarray
    starts_R1: np.ndarray

    @classmethod
    def of(cls, tokens_N: np.ndarray, sizes_R: np.ndarray) -> "Rows":
        """Rows of these sizes."""
        return cls(tokens_N=tokens_N, starts_R1=bounds(sizes_R))

    @classmethod
    def lists(cls, lists: Sequence[Sequence[int]]) -> "Rows":
        """The same as plain lists."""
        flat = [token for one in lists for token in one]
        return cls.of(np.array(flat, dtype=np.int64), np.array([len(one) for one in lists], dtype=np.int64))

    @classmethod
    def same(cls, tokens: Sequence[int], rows: int) -> "Rows":
        """One sequence as every row."""
        return cls(tokens_N=np.tile(np.array(tokens, dtype=np.int64), rows), starts_R1=np.arange(rows + 1) * len(tokens))

    @property
    def sizes(self) -> np.ndarray:
        """The length of every row."""
        return np.diff(self.starts_R1)

    @property
    def row(self) -> np.ndarray:
        """Each token's row."""
        return self.spread(np.arange(len(self)))

    @property
    def place(self) -> np.ndarray:
        """Each token's place in its row, from 0."""
        return np.arange(len(self.tokens_N)) - self.spread(self.starts_R1[:-1])

    def __len__(self) -> int:
        return len(self.starts_R1) - 1

    def spread(self, values_R: np.ndarray) -> np.ndarray:
        """Each token's value of its row."""
        return np.repeat(values_R, self.sizes)

    def where(self, kept_N: np.ndarray) -> "Rows":
        """The tokens for which `kept_N` holds."""
        return Rows(tokens_N=self.tokens_N[kept_N], starts_R1=bounds(kept_N)[self.starts_R1])

    def counts(self, holds_N: np.ndarray) -> np.ndarray:
        """For how many tokens of each row `holds_N` holds."""
        return np.diff(bounds(holds_N)[self.starts_R1])

    def filled(self, token: int) -> "Rows":
        """With `token` as the only one of each row that is empty."""
        empty_R = self.sizes == 0
        if not empty_R.any():
            return self
        return joined(self, Rows.of(np.full(int(empty_R.sum()), token), empty_R.astype(np.int64)))

    def slices(self, begins_R: np.ndarray, sizes_R: np.ndarray) -> "Rows":
        """sizes_R[r] tokens of `tokens_N` from begins_R[r] on, as row r."""
        starts_R1 = bounds(sizes_R)
        take = np.arange(starts_R1[-1]) + np.repeat(begins_R - starts_R1[:-1], sizes_R)
        return Rows(tokens_N=self.tokens_N[take], starts_R1=starts_R1)

    def there(self) -> np.ndarray:
        """(R, longest): where tokens stand when every row is padded at its end."""
        return np.arange(self.sizes.max(initial=0)) < self.sizes[:, None]

    def padded(self, padding: int) -> np.ndarray:
        """(R, longest), with `padding` behind the shorter rows."""
        there_RT = self.there()
        padded_RT = np.full(there_RT.shape, padding, dtype=np.int64)
        padded_RT[there_RT] = self.tokens_N
        return padded_RT

    def plain(self) -> list[list[int]]:
        """Plain lists."""
        return [part.tolist() for part in np.split(self.tokens_N, self.starts_R1[1:-1])]


def joined(*parts: Rows) -> Rows:
    """The rows of several side by side: row r of the first, then row r of the second, ..."""
    sizes_PR = np.stack([part.sizes for part in parts])
    starts_R1 = bounds(sizes_PR.sum(axis=0))
    tokens_N = np.empty(starts_R1[-1], dtype=np.int64)
    begins_PR = starts_R1[:-1] + np.cumsum(sizes_PR, axis=0) - sizes_PR
    for part, begins_R in zip(parts, begins_PR, strict=True):
        tokens_N[np.arange(len(part.tokens_N)) + part.spread(begins_R - part.starts_R1[:-1])] = part.tokens_N
    return Rows(tokens_N=tokens_N, starts_R1=starts_R1)


def stacked(*parts: Rows) -> Rows:
    """All rows of the first, then all rows of the second, ..."""
    return Rows.of(np.concatenate([part.tokens_N for part in parts]), np.concatenate([part.sizes for part in parts]))


def shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """Every row in a random order."""
    random_N = rng.integers(2**_RANDOM_BITS, size=len(rows.tokens_N))
    order_N = np.argsort((rows.row << _RANDOM_BITS) | random_N)
    return Rows(tokens_N=rows.tokens_N[order_N], starts_R1=rows.starts_R1)


def firsts(rows: Rows) -> np.ndarray:
    """True for a token that does not stand in its row before: its first occurrence."""
    keys_N = _pairs(rows)
    order_N = np.argsort(keys_N, kind="stable")
    first_N = np.zeros(len(order_N), bool)
    first_N[order_N[_changes(keys_N[order_N])]] = True
    return first_N


def shared(one: Rows, other: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each of the two: is a token the first occurrence in its row; of those that are: does the other row hold it, too?

    Returns first_N and held_N of `one` (held_N is False for what is no first occurrence), then of `other`.
    """
    cut = len(one.tokens_N)
    keys = np.concatenate([_pairs(one), _pairs(other)])
    order = np.argsort(keys, kind="stable")
    heads = _changes(keys[order])
    tails = np.append(heads[1:], True)[: len(order)]
    mine = order < cut
    first = np.zeros(len(order), bool)
    held = np.zeros(len(order), bool)
    begins = np.flatnonzero(heads)
    both_D = mine[begins] & ~mine[tails]
    first[order[begins]] = True
    held[order[begins]] = both_D
    crossing = np.flatnonzero(~mine & ~heads)
    crossing = crossing[mine[crossing - 1]]  # the other's first occurrence behind one's own last
    first[order[crossing]] = held[order[crossing]] = True
    return first[:cut], held[:cut], first[cut:], held[cut:]


def last_places(rows: Rows, order: Rows) -> np.ndarray:
    """For each token of `rows` the last place in its row of `order` that holds the same token, -1 where none does."""
    if not len(order.tokens_N):
        return np.full(len(rows.tokens_N), -1)
    keys, wanted_N = _pairs(order), _pairs(rows)
    by_key = np.argsort(keys, kind="stable")
    found_N = by_key[np.searchsorted(keys[by_key], wanted_N, side="right") - 1]  # the last of equal ones
    there_N = keys[found_N] == wanted_N
    return np.where(there_N, order.place[found_N], -1)


def first_match(rows: Rows, queries: Rows) -> np.ndarray:
    """For each row the first place from which its query stands in it without a gap, -1 where it does not."""
    size_Q = queries.sizes
    room_R = rows.sizes - size_Q
    candidates = np.flatnonzero(rows.place <= rows.spread(room_R))
    row_C = np.searchsorted(rows.starts_R1, candidates, side="right") - 1
    for k in range(int(size_Q.max(initial=0))):
        # a query that has ended matches whatever follows
        ended_C = k >= size_Q[row_C]
        asked_C = queries.tokens_N[np.where(ended_C, 0, queries.starts_R1[row_C] + k)]
        left_C = ended_C | (rows.tokens_N[np.where(ended_C, 0, candidates + k)] == asked_C)
        candidates, row_C = candidates[left_C], row_C[left_C]
    place_R = np.full(len(rows), -1)
    place_R[row_C[::-1]] = (candidates - rows.starts_R1[row_C])[::-1]  # of repeated indices the last one counts
    return place_R


def _pairs(rows: Rows) -> np.ndarray:
    """One integer for each token that tells its row and the token."""
    return (rows.row << 32) | rows.tokens_N


def _changes(keys_N: np.ndarray) -> np.ndarray:
    """True where a key differs from the one before."""
    changes_N = np.ones(len(keys_N), bool)
    changes_N[1:] = keys_N[1:] != keys_N[:-1]
    return changes_N
