"""The helpers that the policies' exactness rests on."""

from itertools import pairwise

import numpy as np
import pytest

from raylab.masking.placement import lengths_within, random_gaps, separate_gaps, split_at_random
from raylab.masking.sampling import bounds, budgets, ordered, picked, thinned, words
from tests.masking.batches import passages_of


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_words_end_at_passages_and_at_tokens_that_are_not_maskable() -> None:
    passages = passages_of([4, 0, 3], head=0, holes=0.0)
    passages.word_starts_N[:] = [True, False, False, False, False, False, True]
    passages.maskable_N[1] = False
    units = words(passages)
    assert list(zip(units.starts_U, units.ends_U, strict=True)) == [(0, 1), (2, 4), (4, 6), (6, 7)]
    assert units.bounds_R1.tolist() == [0, 2, 2, 4]


def test_budgets_are_unbiased_and_sum_to_their_total() -> None:
    amounts = np.array([0.3, 2.5, 0.0, 1.2])
    drawn = np.array([budgets(amounts, rng(seed)) for seed in range(4000)])
    assert ((drawn == np.floor(amounts)) | (drawn == np.ceil(amounts))).all()
    assert set(drawn.sum(axis=1)) <= {4, 5}
    np.testing.assert_allclose(drawn.mean(axis=0), amounts, atol=0.04)


def test_thinning_is_exact_in_expectation() -> None:
    sizes = np.array([1, 5, 2, 7, 3])
    left = [sizes[thinned(sizes, 8.5, rng(seed))].sum() for seed in range(6000)]
    assert abs(np.mean(left) - 8.5) < 0.15
    assert thinned(sizes, 20, rng()).tolist() == [0, 1, 2, 3, 4]


def test_every_subset_is_picked_as_often() -> None:
    counts = np.zeros(5)
    for seed in range(3000):
        slots = picked(np.array([0, 5, 2]), np.array([0, 2, 2]), rng(seed))
        assert slots[:5].sum() == 2 and slots[5:].all()
        counts += slots[:5]
    np.testing.assert_allclose(counts / 3000, 0.4, atol=0.04)


def test_order_stays_within_segments() -> None:
    keys, cuts = np.array([3.0, -1.0, 2.0, 9.0, 9.0, -5.0]), np.array([0, 3, 3, 6])
    order = ordered(keys, cuts)
    assert order[:3].tolist() == [1, 2, 0] and order[3] == 5 and set(order[4:]) == {3, 4}


def test_every_composition_is_as_likely() -> None:
    seen = [tuple(split_at_random(np.array([0, 4, 3]), np.array([0, 2, 3]), rng(seed))) for seed in range(3000)]
    assert {s[2:] for s in seen} == {(1, 1, 1)}
    shares = [sum(s[:2] == pair for s in seen) / 3000 for pair in ((1, 3), (2, 2), (3, 1))]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)


@pytest.mark.parametrize("seed", range(5))
def test_lengths_spend_each_budget_and_gaps_stay_in_order(seed: int) -> None:
    budget_R, visible_R = rng(seed).integers(0, 20, 30), rng(seed + 1).integers(20, 30, 30)
    lengths_S, spans_R = lengths_within(budget_R, np.array([0.5, 0.3, 0.2]), rng(seed))
    cuts = bounds(spans_R)
    assert [lengths_S[a:b].sum() for a, b in pairwise(cuts)] == budget_R.tolist()
    for gaps_S, least in ((random_gaps(visible_R, spans_R, rng(seed)), 0), (separate_gaps(visible_R, spans_R, rng(seed)), 1)):
        for r, (a, b) in enumerate(pairwise(cuts)):
            assert (np.diff(gaps_S[a:b]) >= least).all() and (gaps_S[a:b] >= 0).all() and (gaps_S[a:b] <= visible_R[r]).all()
