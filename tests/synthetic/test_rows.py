"""Operations on many sequences at once, against the same ones on lists."""

import numpy as np
import pytest

from raylab.synthetic.rows import Rows, first_match, firsts, joined, last_places, shared, shuffled, stacked
from raylab.synthetic.task import in_parts


def some(seed: int, rows: int = 60, symbols: int = 4, longest: int = 9) -> Rows:
    rng = np.random.default_rng(seed)
    return Rows.lists([rng.integers(5, 5 + symbols, rng.integers(0, longest + 1)).tolist() for _ in range(rows)])


def test_side_by_side_and_one_after_the_other() -> None:
    a, b, c = some(1), some(2), Rows.same([1, 2], 60)
    rows = list(zip(a.plain(), b.plain(), c.plain(), strict=True))
    assert joined(a, b, c).plain() == [[*x, *y, *z] for x, y, z in rows]
    assert stacked(a, b).plain() == [*a.plain(), *b.plain()]
    assert a.filled(9).plain() == [x or [9] for x in a.plain()]


def test_firsts_and_what_two_rows_share() -> None:
    a, b = some(3), some(4)
    assert a.where(firsts(a)).plain() == [list(dict.fromkeys(x)) for x in a.plain()]
    first_a, held_a, first_b, held_b = shared(a, b)
    pairs = list(zip(a.plain(), b.plain(), strict=True))
    assert (first_a == firsts(a)).all() and (first_b == firsts(b)).all()
    assert a.where(held_a).plain() == [[t for t in dict.fromkeys(x) if t in y] for x, y in pairs]
    assert b.where(held_b).plain() == [[t for t in dict.fromkeys(y) if t in x] for x, y in pairs]


@pytest.mark.parametrize("symbols", [1, 2, 5])
def test_matches_and_places(symbols: int) -> None:
    x, q = some(5, 400, symbols, 12), some(6, 400, symbols, 4)
    q = q.filled(5)
    expected = [
        next((i for i in range(len(a) - len(b) + 1) if a[i : i + len(b)] == b), -1)
        for a, b in zip(x.plain(), q.plain(), strict=True)
    ]
    assert first_match(x, q).tolist() == expected
    places = Rows(tokens_N=last_places(x, q), starts_R1=x.starts_R1).plain()
    for a, b, found in zip(x.plain(), q.plain(), places, strict=True):
        assert found == [max((i for i, t in enumerate(b) if t == token), default=-1) for token in a]


def test_a_shuffle_keeps_every_row_and_any_order_is_as_likely() -> None:
    rows = Rows.same([1, 2, 3], 6000)
    mixed = shuffled(rows, np.random.default_rng(0)).tokens_N.reshape(-1, 3)
    orders, counts = np.unique(mixed, axis=0, return_counts=True)
    assert len(orders) == 6 and (np.abs(counts - 1000) < 150).all()


def test_a_random_composition_has_no_empty_part() -> None:
    sizes_R, parts_R = np.array([5, 5, 1, 7]), np.array([1, 5, 1, 3])
    rows, sizes_K = in_parts(sizes_R, parts_R, np.random.default_rng(0))
    assert (sizes_K > 0).all() and len(sizes_K) == parts_R.sum()
    assert [sorted(set(row)) for row in rows.plain()] == [list(range(parts)) for parts in parts_R]
    assert [row == sorted(row) for row in rows.plain()] == [True] * 4


def test_padding() -> None:
    rows = Rows.lists([[1, 2, 3], [], [4]])
    assert rows.padded(-1).tolist() == [[1, 2, 3], [-1, -1, -1], [4, -1, -1]]
    assert rows.there().sum() == 4
