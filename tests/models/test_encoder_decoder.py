"""Base models: each scale of its size, weights from a seed, checkpoints by path with what they bring along."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2Model,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from raylab.data.invented import facts
from raylab.data.prepared import Preparation, Prepared
from raylab.data.tokenizer import train_bpe
from raylab.errors import UserError
from raylab.models.build import build, checkpoint_config
from raylab.models.sizes import SIZES
from raylab.recipe import ModelSpec
from tests import tiny

# parameters that a scale promises
RANGES = {"tiny": (0.7e6, 2e6), "small": (10e6, 30e6), "base": (140e6, 220e6)}


class Vocabulary:
    """All that a configuration reads of a tokenizer: the special ids and its size."""

    pad_token_id, bos_token_id, eos_token_id = 0, 1, 2

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("scale", list(SIZES))
def test_parameters_of_each_scale(scale: Any, family: Any) -> None:
    with torch.device("meta"):  # shapes alone
        model = build(ModelSpec(family=family, scale=scale), Vocabulary(SIZES[scale].vocab_size), 0)
    low, high = RANGES[scale]
    assert low <= parameters(model) <= high
    assert float(SIZES[scale].parameters.removesuffix("M")) == pytest.approx(parameters(model) / 1e6, rel=0.05)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_weights_follow_from_the_seed_and_nothing_else_is_disturbed(family: Any) -> None:
    spec = ModelSpec(family=family)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (build(spec, Vocabulary(300), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module", params=["t5", "bart"])
def checkpoint(request: pytest.FixtureRequest, folder: Path) -> tuple[Path, PreTrainedModel]:
    """A tiny pretrained model with a tokenizer of its own, as save_pretrained leaves them."""
    tokenizer = train_bpe((f.text for f in facts()), 350)
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "vocab_size": len(tokenizer)}
    model = _t5(ids) if request.param == "t5" else _bart(ids)
    model.save_pretrained(folder / request.param)
    tokenizer.save_pretrained(folder / request.param)
    return folder / request.param, model


def _t5(ids: dict[str, int]) -> PreTrainedModel:
    start = ids["pad_token_id"]
    return T5ForConditionalGeneration(
        T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=start, dropout_rate=0.1, **ids)
    )


def _bart(ids: dict[str, int]) -> PreTrainedModel:
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    widths = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 128}
    dropouts = {"dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    start = ids["eos_token_id"]
    return BartForConditionalGeneration(BartConfig(**layers, **widths, **dropouts, decoder_start_token_id=start, **ids))


def test_a_checkpoint_is_loaded_by_path(checkpoint: tuple[Path, PreTrainedModel], tmp_path: Path) -> None:
    path, saved = checkpoint
    data = tiny.prepared(tmp_path, how=Preparation(tokenizer=str(path), max_tokens=64))
    assert len(data.tokenizer) == saved.config.vocab_size
    model = build(ModelSpec(pretrained=str(path)), data.tokenizer, seed=9)
    assert type(model) is type(saved)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), saved.parameters(), strict=True))
    trace = tiny.traced(tiny.recipe(pretrained=str(path), pretrain_steps=2, finetune_steps=2), data)
    assert trace.result is not None and trace.result.metrics["parameters"] == parameters(saved)


def test_the_recipes_dropout_holds_for_a_checkpoint(checkpoint: tuple[Path, PreTrainedModel], tmp_path: Path) -> None:
    """BART's layers read the configuration once, when they are made."""
    path, _ = checkpoint
    data = tiny.prepared(tmp_path, how=Preparation(tokenizer=str(path), max_tokens=64))

    def answers(dropout: float) -> list[torch.Tensor]:
        model = build(ModelSpec(pretrained=str(path), dropout=dropout), data.tokenizer, seed=9).train()
        ids = torch.tensor([[40, 50, 60]])
        return [model(input_ids=ids, decoder_input_ids=ids).logits for _ in range(2)]

    assert torch.equal(*answers(0.0))
    assert not torch.equal(*answers(0.5))


def test_a_checkpoint_with_a_smaller_vocabulary_grows(checkpoint: tuple[Path, PreTrainedModel]) -> None:
    path, saved = checkpoint
    tokenizer = train_bpe((f.text for f in facts()), 380)
    models = [build(ModelSpec(pretrained=str(path)), tokenizer, seed=4) for _ in range(2)]
    rows = [model.get_input_embeddings().weight for model in models]
    assert rows[0].shape[0] == len(tokenizer) > saved.config.vocab_size
    assert torch.equal(rows[0], rows[1])
    assert torch.equal(rows[0][: saved.config.vocab_size], saved.get_input_embeddings().weight)


def test_what_was_finetuned_is_loaded_by_transformers(tmp_path: Path) -> None:
    data: Prepared = tiny.prepared(tmp_path)
    tiny.traced(tiny.recipe(pretrain_steps=1, finetune_steps=1), data, keep_model=tmp_path / "model")
    assert checkpoint_config(str(tmp_path / "model")).is_encoder_decoder
    again = tiny.prepared(tmp_path, how=Preparation(tokenizer=str(tmp_path / "model"), max_tokens=64))
    assert again.tokenizer.get_vocab() == data.tokenizer.get_vocab()


def test_a_path_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match=r"no model at '/no/such/model': .*Give a folder with config.json") as raised:
        checkpoint_config("/no/such/model")
    assert "\n" not in str(raised.value)


def test_a_name_that_is_no_model_is_told() -> None:
    with pytest.raises(UserError, match="no model at 'invented/no-such-model'"):
        checkpoint_config("invented/no-such-model")


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    T5Config().save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not read: it could hold any program")
    with pytest.raises(UserError, match=r"holds no weights: no \*.safetensors file"):
        checkpoint_config(str(tmp_path))


def test_a_model_that_only_reads_on_is_told(tmp_path: Path) -> None:
    GPT2Model(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50, n_positions=16)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a gpt2 model, neither an encoder-decoder"):
        checkpoint_config(str(tmp_path))


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model at"):
        checkpoint_config(str(tmp_path))
