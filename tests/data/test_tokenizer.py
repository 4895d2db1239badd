"""Tokenizers: trained here or brought along, and what masking needs of them."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from raylab.data.invented import facts
from raylab.data.tokenizer import SENTINELS, SPECIAL, ids_of, load_tokenizer, save_tokenizer, symbols_of, train_bpe
from raylab.errors import UserError

TEXTS = [fact.text for fact in facts()]


def words(**special: str) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words with these special tokens."""
    names = [*special.values(), "[UNK]", "river", "town"]
    model = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=model, unk_token="[UNK]", **special)


@pytest.mark.parametrize("size", [300, 500])
def test_the_vocabulary_has_the_size_asked_for(size: int) -> None:
    assert len(train_bpe(TEXTS, size)) == size


@pytest.mark.parametrize("text", [*TEXTS[:2], "Łódź, 国歌: never seen 🙂", "a  b\n c"])
def test_every_text_comes_back(text: str) -> None:
    tokenizer = train_bpe(TEXTS, 400)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids).removeprefix(" ") == text
    assert not set(ids) & set(tokenizer.all_special_ids)  # no unknown, and nothing set before or after


def test_training_is_deterministic_and_saving_loses_nothing(tmp_path: Path) -> None:
    tokenizer, again = (train_bpe(TEXTS, 400) for _ in range(2))
    assert tokenizer.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert symbols_of(loaded) == symbols_of(tokenizer)
    for text in TEXTS:
        wanted, got = (t(text, return_offsets_mapping=True) for t in (tokenizer, loaded))
        assert (wanted["input_ids"], wanted["offset_mapping"]) == (got["input_ids"], got["offset_mapping"])


def test_ids_of_texts() -> None:
    tokenizer = words(pad_token="<pad>", eos_token="</s>")
    assert ids_of(tokenizer, ["town river", "town"]) == [[4, 3], [4]]
    assert ids_of(tokenizer, []) == []


def test_symbols_of_our_own() -> None:
    tokenizer = train_bpe(TEXTS, 400)
    symbols = symbols_of(tokenizer)
    assert (symbols.pad, symbols.eos, symbols.mask) == tuple(
        tokenizer.convert_tokens_to_ids(SPECIAL[f"{name}_token"]) for name in ("pad", "eos", "mask")
    )
    assert len(symbols.sentinels) == len(set(symbols.sentinels)) == SENTINELS
    assert symbols.vocab_size == 400


def test_symbols_of_a_tokenizer_like_barts() -> None:
    symbols = symbols_of(words(pad_token="<pad>", eos_token="</s>", mask_token="<mask>"))
    assert (symbols.pad, symbols.eos, symbols.mask, symbols.sentinels) == (0, 1, 2, ())


def test_symbols_of_a_tokenizer_like_t5s() -> None:
    tokenizer = words(pad_token="<pad>", eos_token="</s>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<extra_id_1>", "<extra_id_0>"]})
    ids = tuple(tokenizer.convert_tokens_to_ids(["<extra_id_0>", "<extra_id_1>"]))
    symbols = symbols_of(tokenizer)
    assert symbols.sentinels == ids  # in the order of their numbers, not of their ids
    assert symbols.mask == ids[0]


def test_a_tokenizer_that_has_nothing_to_mask_with_is_told() -> None:
    with pytest.raises(UserError, match="neither a mask token nor sentinels"):
        symbols_of(words(pad_token="<pad>", eos_token="</s>"))


@pytest.mark.parametrize("special", [{"pad_token": "<pad>"}, {"eos_token": "</s>"}])
def test_a_tokenizer_without_pad_or_eos_is_told(special: dict[str, str], tmp_path: Path) -> None:
    words(**special).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="has no pad token, or neither eos nor sep"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("name", ["/no/such/folder", "invented/no-such-tokenizer"])
def test_a_tokenizer_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(UserError, match=f"no tokenizer at '{name}'") as raised:
        load_tokenizer(name)
    assert "\n" not in str(raised.value)
