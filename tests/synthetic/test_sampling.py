"""Inputs are drawn as the paper draws them, in distribution."""

import numpy as np
import pytest

from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, first_match, firsts
from raylab.synthetic.task import Binary, Lengths, SyntheticTask, Unary

LENGTHS, SYMBOLS, ROWS = Lengths(), Alphabet.plain(32000), 6000


def unary(name: str) -> Rows:
    task: Unary = SyntheticTask.registry.get(name)()
    return task.inputs(ROWS, SYMBOLS, LENGTHS, np.random.default_rng(0))


def binary(name: str, alphabet: Alphabet = SYMBOLS, lengths: Lengths = LENGTHS) -> tuple[Rows, Rows]:
    task: Binary = SyntheticTask.registry.get(name)()
    return task.inputs(ROWS, alphabet, lengths, np.random.default_rng(0))


def uniform_over(values: np.ndarray, low: float, high: float, bins: int = 8) -> None:
    """The values spread evenly: each bin's share within 5 standard deviations."""
    edges = np.linspace(low, high + 1, bins + 1)
    counts, _ = np.histogram(values, edges)
    assert counts.sum() == len(values)
    expected = len(values) * np.diff([np.ceil(edge) for edge in edges]) / (high + 1 - low)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())


@pytest.mark.parametrize("name", ["identity", "reverse", "duplicate", "first_token", "last_token", "length"])
def test_plain_sequences_are_uniform_in_length_and_tokens(name: str) -> None:
    x = unary(name)
    uniform_over(x.sizes, 10, 220)
    uniform_over(x.tokens_N, 2, 32001)


@pytest.mark.parametrize("name", ["set", "deduplicate"])
def test_sets_and_runs_have_a_uniform_number_of_parts(name: str) -> None:
    """From 1 to the length; with so many symbols two parts are hardly ever the same token."""
    x = unary(name)
    uniform_over(x.sizes, 10, 220)
    share = (x.counts(firsts(x)) - 1) / (x.sizes - 0.5)
    uniform_over(np.floor(share * 1000), 0, 999)


def test_a_set_is_shuffled_and_a_run_is_not() -> None:
    def runs(x: Rows) -> int:
        return int(((x.tokens_N[1:] != x.tokens_N[:-1]) | (x.place[1:] == 0)).sum()) + 1

    sets, deduplicates = unary("set"), unary("deduplicate")
    distinct = int(firsts(deduplicates).sum())
    assert distinct <= runs(deduplicates) < 1.01 * distinct
    assert runs(sets) > 1.2 * firsts(sets).sum()


def test_words_fill_the_payload() -> None:
    x = unary("longest_word")
    words_R = x.counts(x.tokens_N == SYMBOLS.markers["word"]) + 1
    uniform_over(words_R, 1, 110)


def test_counts_are_uniform_up_to_the_length() -> None:
    x, q = binary("count")
    uniform_over(x.sizes, 8, 218)
    count_R = x.counts(x.tokens_N == x.spread(q.tokens_N))
    uniform_over(np.floor(count_R / (x.sizes + 1) * 1000), 0, 999, bins=5)


@pytest.mark.parametrize(("name", "share"), [("search", 0.5), ("delete", 0.75)])
@pytest.mark.parametrize("longest", [220, 27])
@pytest.mark.parametrize("symbols", [20, 32000])
def test_the_share_of_queries_that_are_contained(name: str, share: float, longest: int, symbols: int) -> None:
    x, q = binary(name, Alphabet.plain(symbols), Lengths(longest=longest))
    contained_R = first_match(x, q) >= 0
    assert contained_R.mean() == pytest.approx(share, abs=0.025)
    assert (2 * q.sizes <= x.sizes).all()
    # neither length tells which it is
    for sizes_R in (q.sizes, x.sizes):
        assert sizes_R[contained_R].mean() == pytest.approx(sizes_R[~contained_R].mean(), rel=0.06)


def test_a_query_occurs_up_to_as_often_as_it_fits() -> None:
    x, q = binary("search", lengths=Lengths(longest=27))
    single_R = q.sizes == 1
    count_R = x.counts(x.tokens_N == x.spread(q.tokens_N[q.starts_R1[:-1]]))
    often = (count_R / x.sizes)[single_R & (count_R > 0)]
    assert often.mean() == pytest.approx(0.53, abs=0.06) and often.max() == 1


def test_a_replaced_token_is_any_of_the_different_ones() -> None:
    alphabet = Alphabet.plain(3)
    x, q = binary("replace", alphabet)
    keys_R = q.tokens_N[::2]
    assert (x.counts(x.tokens_N == x.spread(keys_R)) > 0).all()
    uniform_over(keys_R, 2, 4, bins=3)
    uniform_over(q.tokens_N[1::2], 2, 4, bins=3)
    uniform_over(x.sizes, 7, 217)


def test_sorted_sequences_hold_tokens_of_their_order_alone() -> None:
    x, q = binary("sort")
    uniform_over(q.sizes, 5, 109)
    assert (x.sizes >= q.sizes).all()
    for one, order in zip(x.plain(), q.plain(), strict=True):
        assert set(one) <= set(order)


@pytest.mark.parametrize("name", ["union", "intersect", "set1_minus_set2", "set2_minus_set1"])
def test_two_sets_share_a_pool_of_half_as_many_tokens(name: str) -> None:
    x, q = binary(name)
    total_R = x.sizes + q.sizes
    uniform_over(total_R, 9, 219)
    uniform_over(np.floor(x.sizes / (total_R + 1) * 1000), 0, 999, bins=4)
    for one, other, total in zip(x.plain()[:500], q.plain()[:500], total_R, strict=False):
        assert len({*one, *other}) <= total // 2
    shared = [bool({*one} & {*other}) for one, other in zip(x.plain(), q.plain(), strict=True) if min(len(one), len(other)) > 20]
    assert np.mean(shared) > 0.99
