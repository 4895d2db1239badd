"""The tokens that tasks write come from any tokenizer, or are plain ids."""

import numpy as np
import pytest

from raylab.data.tokenizer import ids_of, symbols_of, train_bpe
from raylab.errors import UserError
from raylab.synthetic.alphabet import MARKERS, Alphabet

TOKENIZER = train_bpe(["ten red hens sat on 27 eggs, and not one of them said yes or no"] * 20, 400)
SENTINELS = symbols_of(TOKENIZER).sentinels


def test_symbols_are_ordinary_tokens_and_markers_are_sentinels() -> None:
    alphabet = Alphabet.of(TOKENIZER, SENTINELS)
    special = {*TOKENIZER.all_special_ids, *SENTINELS}
    assert set(alphabet.symbols_S.tolist()) == set(range(len(TOKENIZER))) - special
    assert list(alphabet.markers.values()) == list(SENTINELS[: len(MARKERS)])


def test_a_tokenizer_without_sentinels_gives_ordinary_tokens_for_markers() -> None:
    alphabet = Alphabet.of(TOKENIZER, ())
    markers = set(alphabet.markers.values())
    assert len(markers) == len(MARKERS)
    assert not markers & {*alphabet.symbols_S.tolist(), *TOKENIZER.all_special_ids}


def test_fewer_symbols_are_drawn_with_the_seed() -> None:
    first, again, other = (Alphabet.of(TOKENIZER, SENTINELS, symbols=30, seed=seed).symbols_S.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 30 and set(first) <= set(Alphabet.of(TOKENIZER, SENTINELS).symbols_S.tolist())
    with pytest.raises(UserError, match="symbols is 5000; this tokenizer has"):
        Alphabet.of(TOKENIZER, SENTINELS, symbols=5000)


def test_numbers_and_answers_are_texts() -> None:
    alphabet = Alphabet.of(TOKENIZER, SENTINELS)
    for values in ([3, 0, 27], [120, 4]):
        assert alphabet.decimals(np.array(values)).plain() == ids_of(TOKENIZER, [str(value) for value in values])
    assert alphabet.yes_or_no.plain() == ids_of(TOKENIZER, ["no", "yes"])


def test_plain_ids_are_apart() -> None:
    alphabet = Alphabet.plain(10, first=2)
    texts = {token for tokens in alphabet.texts(["0123456789", "abcdefghijklmnopqrstuvwxyz "]) for token in tokens}
    everything = [*alphabet.symbols_S.tolist(), *alphabet.markers.values(), *texts]
    assert sorted(everything) == list(range(2, 2 + 10 + 48))


def test_different_symbols_for_every_row() -> None:
    alphabet, sizes_R = Alphabet.plain(12), np.array([12, 0, 5, 1])
    symbol = alphabet.distinct(np.random.default_rng(0), sizes_R)
    for row, size in enumerate(sizes_R):
        drawn = symbol(np.full(size, row), np.arange(size))
        assert len(set(drawn.tolist())) == size
    with pytest.raises(UserError, match="13 different symbols are needed at once and there are 12"):
        alphabet.distinct(np.random.default_rng(0), np.array([13]))
