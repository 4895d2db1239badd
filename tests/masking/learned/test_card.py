"""A policy card comes back as it was written, and what is wrong with one is told in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from raylab.data.tokenizer import train_bpe
from raylab.errors import UserError
from raylab.masking.learned.card import (
    DESCRIPTION,
    README,
    WEIGHTS,
    Card,
    describe,
    identity,
    load,
    read,
    save,
    tokenizer_contract,
    tokenizer_of,
    with_transfer,
)
from raylab.masking.learned.extractor import Extractor, ExtractorConfig

TEXTS = ["Oslo is the capital of Norway.", "Helium was found in 1868."]


def written(folder: Path) -> tuple[Extractor, Card]:
    tokenizer = train_bpe(TEXTS, 320)
    config = ExtractorConfig(vocab_size=len(tokenizer), width=8)
    extractor = Extractor(config)
    card = Card(
        name="mine", how="supervised", extractor=config, tokenizer=tokenizer_contract(tokenizer), seed=3,
        learned_on={"task": "invented", "pairs": 24}, cost={"tokens": 1200.0, "seconds": 0.5},
        evidence={"precision": {"value": 0.5, "low": 0.4, "high": 0.6}}, notes=("few passages",),
    )  # fmt: skip
    save(folder, extractor, card, tokenizer)
    return extractor, card


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    extractor, card = written(tmp_path / "card")
    loaded, told = load(tmp_path / "card")
    assert told == card
    for name, weight in extractor.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], weight)
    told.check_tokenizer(tokenizer_of(tmp_path / "card"), "its own")


def test_a_card_tells_people_cost_evidence_and_transfer(tmp_path: Path) -> None:
    _, card = written(tmp_path / "card")
    before = identity(tmp_path / "card")
    describe(tmp_path / "card", with_transfer(card, {"task": "other", "bits per answer": 31.5}))
    text = (tmp_path / "card" / README).read_text()
    assert "1,200" in text and "0.5 (95 % interval 0.4 to 0.6)" in text and "| other | 31.5 |" in text
    assert identity(tmp_path / "card") == before, "what a card tells beside does not change what it is"


def test_padding_and_special_tokens_do_not_change_a_tokenizers_contract() -> None:
    tokenizer = train_bpe(TEXTS, 320)
    before = tokenizer_contract(tokenizer)
    tokenizer(TEXTS, padding=True, truncation=True, max_length=4)
    assert tokenizer_contract(tokenizer) == before != tokenizer_contract(train_bpe([*TEXTS, "Zinc, zinc, zinc."], 320))


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    _, card = written(tmp_path / "card")
    with pytest.raises(UserError, match=r"learned with another tokenizer .* than this model's"):
        card.check_tokenizer(train_bpe(["Something else altogether, of other words."], 320), "this model's")


def _without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _cut_off(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def _of_the_future(folder: Path) -> None:
    (folder / DESCRIPTION).write_text(json.dumps({**json.loads((folder / DESCRIPTION).read_text()), "format": 99}))


def _cut_description(folder: Path) -> None:
    (folder / DESCRIPTION).write_text((folder / DESCRIPTION).read_text()[:100])


def _of_another_width(folder: Path) -> None:
    told = json.loads((folder / DESCRIPTION).read_text())
    told["extractor"]["width"] = 24
    (folder / DESCRIPTION).write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (_without_weights, "damaged: it has no model.safetensors"),
        (_cut_off, "damaged: model.safetensors is cut off"),
        (_of_another_width, "damaged: model.safetensors is cut off or not of this configuration"),
        (_cut_description, "damaged: policy.json is no JSON"),
        (_of_the_future, "format 99; this raylab reads up to 1"),
    ],
)
def test_a_card_that_is_not_whole_is_told_in_one_line(tmp_path: Path, harm: Callable[[Path], None], told: str) -> None:
    written(tmp_path / "card")
    harm(tmp_path / "card")
    with pytest.raises(UserError, match=told):
        load(tmp_path / "card")


def test_a_folder_that_is_no_card_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no masking policy"):
        read(tmp_path / "nothing")
