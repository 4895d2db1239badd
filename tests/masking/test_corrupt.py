"""What a mask becomes as model input, by example and by property."""

from dataclasses import replace

import numpy as np
import pytest

from raylab.errors import UserError
from raylab.masking.corrupt import IGNORED, Symbols, corrupt, mlm
from raylab.masking.policy import MASK, Mask, Passages
from tests.masking.batches import BART, EOS, MASK_SYMBOL, PAD, SENTINELS, T5, mask_from, passages_of, rebuilt

S0, S1, S2 = SENTINELS[:3]
MARKERS = frozenset([*SENTINELS, MASK_SYMBOL])


def two_passages() -> Passages:
    """Passages of the tokens 20, 21, 22, 23, 24 and 30, 31, 32."""
    passages = passages_of([5, 3], head=0, holes=0.0)
    return replace(passages, tokens_N=np.array([20, 21, 22, 23, 24, 30, 31, 32], dtype=np.uint16))


def rows(side: np.ndarray) -> list[list[int]]:
    return [[t for t in row if t not in (PAD, IGNORED)] for row in side.tolist()]


def random_mask(passages: Passages, seed: int) -> Mask:
    """Any mask that is allowed: spans that touch, empty spans, replacements."""
    rng = np.random.default_rng(seed)
    count = len(passages.tokens_N)
    hidden_N = rng.random(count) < rng.choice([0.1, 0.5, 0.9])
    first_N = hidden_N.copy()
    first_N[1:] &= ~hidden_N[:-1]
    first_N[passages.starts_R1[:-1][np.diff(passages.starts_R1) > 0]] = True
    begins_N = hidden_N & (first_N | (rng.random(count) < 0.3))
    inserted_N = (rng.random(count) < 0.1) & (~hidden_N | begins_N)
    return Mask(hidden_N=hidden_N, begins_N=begins_N, inserted_N=inserted_N)


def test_t5_names_every_span_by_its_sentinel() -> None:
    batch = corrupt(two_passages(), mask_from(two_passages(), [(1, 3), (4, 5), (5, 6)]), T5, "spans", 20)
    assert rows(batch.input_ids_BT) == [[20, S0, 23, S1, EOS], [S0, 31, 32, EOS]]
    assert rows(batch.labels_BU) == [[S0, 21, 22, S1, 24, EOS], [S0, 30, EOS]]
    assert batch.input_ids_BT.dtype == batch.labels_BU.dtype == np.int64 and batch.attention_BT.dtype == bool
    assert batch.attention_BT.tolist() == [[True] * 5, [True] * 4 + [False]]
    assert batch.labels_BU[1].tolist() == [S0, 30, EOS, IGNORED, IGNORED, IGNORED]


def test_bart_has_one_mask_symbol_for_all() -> None:
    batch = corrupt(two_passages(), mask_from(two_passages(), [(1, 3), (4, 5), (5, 6)]), BART, "spans", 20)
    assert rows(batch.input_ids_BT) == [[20, MASK_SYMBOL, 23, MASK_SYMBOL, EOS], [MASK_SYMBOL, 31, 32, EOS]]
    assert rows(batch.labels_BU) == [[MASK_SYMBOL, 21, 22, MASK_SYMBOL, 24, EOS], [MASK_SYMBOL, 30, EOS]]


@pytest.mark.parametrize("symbols", [T5, BART])
def test_without_a_leading_marker_a_single_span_is_predicted_alone(symbols: Symbols) -> None:
    second = symbols.sentinels[1] if symbols.sentinels else MASK_SYMBOL
    batch = corrupt(two_passages(), mask_from(two_passages(), [(1, 3), (4, 5), (5, 6)]), symbols, "spans", 20, leading=False)
    assert rows(batch.labels_BU) == [[21, 22, second, 24, EOS], [30, EOS]]
    assert rows(batch.input_ids_BT) == rows(
        corrupt(two_passages(), mask_from(two_passages(), [(1, 3), (4, 5), (5, 6)]), symbols, "spans", 20).input_ids_BT
    )


def test_the_sentence_target_is_the_passage() -> None:
    batch = corrupt(two_passages(), mask_from(two_passages(), [(1, 3)], inserted=[5]), T5, "sentence", 20)
    assert rows(batch.labels_BU) == [[20, 21, 22, 23, 24, EOS], [30, 31, 32, EOS]]
    assert rows(batch.input_ids_BT) == [[20, S0, 23, 24, EOS], [S0, 30, 31, 32, EOS]]


def test_an_empty_span_has_a_marker_of_its_own_before_its_token() -> None:
    batch = corrupt(two_passages(), mask_from(two_passages(), [(1, 3)], inserted=[1, 4]), T5, "spans", 20)
    assert rows(batch.input_ids_BT)[0] == [20, S0, S1, 23, S2, 24, EOS]
    assert rows(batch.labels_BU)[0] == [S0, S1, 21, 22, S2, EOS]


def test_spans_past_the_last_sentinel_reuse_it() -> None:
    symbols = replace(T5, sentinels=(S0, S1))
    batch = corrupt(two_passages(), mask_from(two_passages(), [(0, 1), (1, 2), (3, 4)]), symbols, "spans", 20)
    assert rows(batch.input_ids_BT)[0] == [S0, S1, 22, S1, 24, EOS]
    assert rows(batch.labels_BU)[0] == [S0, 20, S1, 21, S1, 23, EOS]


def test_replacements_stand_in_the_input_and_are_not_asked_for_as_spans() -> None:
    passages = two_passages()
    mask = mask_from(passages, [(0, 3), (5, 6)])
    mask = replace(mask, replacement_N=np.array([MASK, 99, MASK, MASK, MASK, 30, MASK, MASK]))
    batch = corrupt(passages, mask, T5, "spans", 20)
    assert rows(batch.input_ids_BT) == [[S0, 99, S1, 23, 24, EOS], [30, 31, 32, EOS]]
    assert rows(batch.labels_BU) == [[S0, 20, S1, 22, EOS], [EOS]]
    assert rows(corrupt(passages, mask, T5, "sentence", 20).labels_BU)[0] == [20, 21, 22, 23, 24, EOS]
    encoder = mlm(passages, mask, T5)
    assert rows(encoder.input_ids_BT) == [[MASK_SYMBOL, 99, MASK_SYMBOL, 23, 24], [30, 31, 32]]
    assert rows(encoder.labels_BU) == [[20, 21, 22], [30]]


def test_a_passage_that_does_not_fit_is_cut_and_its_lost_spans_are_not_asked_for() -> None:
    mask = mask_from(two_passages(), [(0, 2), (4, 5)])
    batch = corrupt(two_passages(), mask, T5, "spans", 4)
    assert rows(batch.input_ids_BT) == [[S0, 22, 23, EOS], [30, 31, 32, EOS]]
    assert rows(batch.labels_BU) == [[S0, 20, 21, EOS], [EOS]]
    assert rows(corrupt(two_passages(), mask, T5, "sentence", 4).labels_BU)[0] == [20, 21, 22, 23]


def test_empty_spans_give_way_to_tokens() -> None:
    batch = corrupt(two_passages(), mask_from(two_passages(), [(5, 7)], inserted=[0, 3, 7]), T5, "spans", 6)
    assert rows(batch.input_ids_BT) == [[20, 21, 22, 23, 24, EOS], [S0, S1, 32, EOS]]
    roomier = corrupt(two_passages(), mask_from(two_passages(), [], inserted=[0, 3]), T5, "spans", 7)
    assert rows(roomier.input_ids_BT)[0] == [S0, 20, 21, 22, 23, 24, EOS]
    assert rows(roomier.labels_BU)[0] == [S0, EOS]


def test_no_passages_make_an_empty_batch() -> None:
    passages = passages_of([])
    batch = corrupt(passages, mask_from(passages, []), T5, "spans", 8)
    assert batch.input_ids_BT.shape == batch.labels_BU.shape == (0, 0)
    assert mlm(passages, mask_from(passages, []), T5).labels_BU.shape == (0, 0)


def test_a_length_that_holds_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="at least 2"):
        corrupt(two_passages(), mask_from(two_passages(), []), T5, "spans", 1)


@pytest.mark.parametrize("symbols", [T5, BART])
@pytest.mark.parametrize("seed", range(20))
def test_any_mask_can_be_undone(symbols: Symbols, seed: int) -> None:
    passages = passages_of(np.random.default_rng(seed).integers(0, 30, 12).tolist(), seed, head=0, holes=0.0)
    batch = corrupt(passages, random_mask(passages, seed), symbols, "spans", 100)
    for r, (begin, end) in enumerate(zip(passages.starts_R1[:-1], passages.starts_R1[1:], strict=True)):
        assert rebuilt(batch.input_ids_BT[r], batch.labels_BU[r], MARKERS) == passages.tokens_N[begin:end].tolist()


@pytest.mark.parametrize("max_length", [2, 5, 17, 31])
@pytest.mark.parametrize("seed", range(6))
def test_no_side_is_too_long_and_no_visible_token_of_a_fitting_passage_is_lost(seed: int, max_length: int) -> None:
    passages = passages_of(np.random.default_rng(seed).integers(0, 30, 12).tolist(), seed, head=0, holes=0.0)
    mask = random_mask(passages, seed)
    batch = corrupt(passages, mask, T5, "spans", max_length)
    assert batch.input_ids_BT.shape[1] <= max_length and batch.labels_BU.shape[1] <= max_length
    for r, (begin, end) in enumerate(zip(passages.starts_R1[:-1], passages.starts_R1[1:], strict=True)):
        visible = passages.tokens_N[begin:end][~mask.hidden_N[begin:end]].tolist()
        shown = [t for t in rows(batch.input_ids_BT)[r] if t not in MARKERS and t != EOS]
        assert shown == visible if end - begin < max_length else shown == visible[: len(shown)]
