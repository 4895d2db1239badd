"""Encoders and LSTMs as base models: their sizes, their weights from a seed, checkpoints of any architecture."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from raylab.data.invented import facts
from raylab.data.prepared import Preparation
from raylab.data.tokenizer import train_bpe
from raylab.errors import UserError
from raylab.models.build import build, is_encoder_decoder, longest_text
from raylab.models.encoder import ROOM
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec
from tests import tiny
from tests.models.test_encoder_decoder import Vocabulary, parameters

# the sort of checkpoints that are about, at the smallest size: configuration, and what its fields are called
SMALL = {"vocab_size": 350, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DISTILLED = {"vocab_size": 350, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
ENCODERS: dict[str, dict[str, Any]] = {
    "Bert": SMALL, "Roberta": {**SMALL, "pad_token_id": 0}, "Electra": {**SMALL, "embedding_size": 8}, "DebertaV2": SMALL,
    "DistilBert": DISTILLED, "MPNet": {**SMALL, "pad_token_id": 0}, "Albert": {**SMALL, "embedding_size": 8},
    "ModernBert": {**SMALL, "pad_token_id": 0, "global_attn_every_n_layers": 1},
}  # fmt: skip


def encoder(kind: str) -> Any:
    """A model of that architecture with random weights."""
    config = getattr(transformers, f"{kind}Config")(**ENCODERS[kind])
    return getattr(transformers, f"{kind}ForMaskedLM")(config)


@pytest.mark.parametrize("family", ["roberta", "lstm"])
@pytest.mark.parametrize(("scale", "most"), [("tiny", 1e6), ("small", 12e6), ("base", 120e6)])
def test_an_encoder_is_no_larger_than_its_half_of_an_encoder_decoder(family: Any, scale: Any, most: float) -> None:
    with torch.device("meta"):  # shapes alone
        model = build(ModelSpec(family=family, scale=scale), Vocabulary(SIZES[scale].vocab_size), 0)
    assert most / 5 <= parameters(model) <= most
    assert not model.config.is_encoder_decoder


def test_an_encoder_reads_the_longest_text_and_its_symbols(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path)
    model = build(ModelSpec(family="roberta"), data.tokenizer, 0)
    ids_BT = torch.full((1, SIZES["tiny"].max_tokens + ROOM), 50)
    assert model(input_ids=ids_BT).logits.shape == (1, ids_BT.shape[1], len(data.tokenizer))


@pytest.mark.parametrize("family", ["t5", "bart", "roberta", "lstm"])
def test_width_and_layers_of_ones_own(family: Any) -> None:
    narrow, wide, deep = (
        parameters(build(ModelSpec(family=family, **own), Vocabulary(300), 0)) for own in ({"width": 48}, {}, {"layers": 4})
    )
    assert narrow < wide < deep


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"layers": 0}, "layers is 0; expected a positive number"),
        ({"width": 50}, "width is 50; expected a multiple of 4, the attention heads at the scale tiny"),
        ({"width": 48, "pretrained": "somewhere"}, "width is 48; .*none where a checkpoint has its own"),
        ({"embeddings": "somewhere"}, "embeddings is 'somewhere'; only an LSTM"),
    ],
)
def test_what_does_not_go_together_is_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        build(ModelSpec(**fields), Vocabulary(300), 0)


@pytest.mark.parametrize("family", ["roberta", "lstm"])
def test_weights_follow_from_the_seed_and_nothing_else_is_disturbed(family: Any) -> None:
    spec, before = ModelSpec(family=family), torch.random.get_rng_state()
    first, again, other = (build(spec, Vocabulary(300), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same(first, again)
    assert not same(first, other)


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_bpe((f.text for f in facts()), 350)


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_is_loaded_by_path(kind: str, tmp_path: Path, tokenizer: Any) -> None:
    saved = encoder(kind)
    saved.save_pretrained(tmp_path)
    spec = ModelSpec(pretrained=str(tmp_path))
    assert not is_encoder_decoder(spec)
    model = build(spec, tokenizer, seed=9)
    assert type(model) is type(saved)
    assert same(model, saved)


@pytest.mark.parametrize("kind", ENCODERS)
def test_the_recipes_dropout_holds_for_every_encoder(kind: str, tmp_path: Path, tokenizer: Any) -> None:
    encoder(kind).save_pretrained(tmp_path)
    ids_BT = torch.tensor([[40, 50, 60, 70]])

    def answers(dropout: float) -> list[torch.Tensor]:
        model = build(ModelSpec(pretrained=str(tmp_path), dropout=dropout), tokenizer, seed=9).train()
        return [model(input_ids=ids_BT).logits for _ in range(2)]

    assert torch.equal(*answers(0.0))
    assert not torch.equal(*answers(0.5))


def test_the_head_that_a_checkpoint_lacks_is_drawn_with_the_seed(tmp_path: Path, tokenizer: Any) -> None:
    bare = transformers.BertModel(transformers.BertConfig(**SMALL))
    bare.save_pretrained(tmp_path)
    first, again, other = (build(ModelSpec(pretrained=str(tmp_path)), tokenizer, seed) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    assert torch.equal(first.get_input_embeddings().weight, bare.get_input_embeddings().weight)


def test_what_a_checkpoint_lacks_is_told_in_a_line(
    tmp_path: Path, tokenizer: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    transformers.BertModel(transformers.BertConfig(**SMALL)).save_pretrained(tmp_path)
    for seed in (1, 2):
        build(ModelSpec(pretrained=str(tmp_path)), tokenizer, seed)
    (told,) = caplog.messages
    assert "which begin at random: cls.predictions" in told
    assert "LOAD REPORT" not in "".join(capfd.readouterr())


def test_an_lstm_begins_with_the_embeddings_of_a_checkpoint(tmp_path: Path, tokenizer: Any) -> None:
    saved = encoder("Bert")
    saved.save_pretrained(tmp_path)
    model = build(ModelSpec(family="lstm", embeddings=str(tmp_path)), tokenizer, 0)
    assert torch.equal(model.get_input_embeddings().weight, saved.get_input_embeddings().weight[: len(tokenizer)])
    assert model.get_input_embeddings().weight.requires_grad
    assert (model.config.embedding_size, model.config.width) == (16, 96)


def test_an_lstm_is_saved_and_loaded_like_any_model(tmp_path: Path, tokenizer: Any) -> None:
    saved = build(ModelSpec(family="lstm", layers=3, width=20), tokenizer, 0)
    saved.save_pretrained(tmp_path)
    assert same(build(ModelSpec(pretrained=str(tmp_path)), tokenizer, 5), saved)
    assert same(transformers.AutoModel.from_pretrained(tmp_path), saved.base_model)


def test_texts_are_no_longer_than_a_checkpoint_has_positions_for(tmp_path: Path) -> None:
    transformers.BertModel(transformers.BertConfig(**SMALL, max_position_embeddings=40)).save_pretrained(tmp_path)
    encoder = ModelSpec(pretrained=str(tmp_path))
    assert [longest_text(encoder, wanted) for wanted in (20, 36, 64)] == [20, 36, 36]
    assert longest_text(ModelSpec(family="roberta"), 64) == 64


def test_a_tokenizer_of_bert_serves(tmp_path: Path) -> None:
    """It has no eos: its sep ends a text."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *{w.lower() for f in facts() for w in f.text.split()}]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
    data = tiny.prepared(tmp_path, how=Preparation(tokenizer=str(tmp_path / "bert"), max_tokens=64))
    assert data.tokenizer.eos_token_id == data.symbols.eos == data.tokenizer.sep_token_id == 3
    assert data.symbols.mask == 4
