"""Encoder-decoders: T5- and BART-like from a configuration, or any checkpoint that transformers loads as seq2seq."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    MBartConfig,
    MBartForConditionalGeneration,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)

from raylab.errors import UserError
from raylab.recipe import ModelSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A scale: widths, layers (in the encoder, and again in the decoder), and what goes with them."""

    width: int
    inner: int
    heads: int
    layers: int
    vocab_size: int
    max_tokens: int
    parameters: str


SIZES = {
    "tiny": Size(width=96, inner=512, heads=4, layers=2, vocab_size=1900, max_tokens=64, parameters="0.8M"),
    "small": Size(width=320, inner=1280, heads=8, layers=5, vocab_size=8000, max_tokens=128, parameters="17M"),
    "base": Size(width=768, inner=3072, heads=12, layers=12, vocab_size=24000, max_tokens=512, parameters="217M"),
}


_DROPOUTS = ("dropout_rate", "dropout", "attention_dropout", "activation_dropout")  # T5's one, the BART family's three


def build(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """The base model: from random weights drawn with `seed`, or the checkpoint named in `spec`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if spec.pretrained is not None:
            return _from_checkpoint(spec, tokenizer)
        if spec.family == "t5":
            return T5ForConditionalGeneration(_t5(SIZES[spec.scale], spec.dropout, tokenizer))
        return MBartForConditionalGeneration(_bart(SIZES[spec.scale], spec.dropout, tokenizer))


def _t5(size: Size, dropout: float, tokenizer: PreTrainedTokenizerBase) -> T5Config:
    return T5Config(
        vocab_size=len(tokenizer), d_model=size.width, d_kv=size.width // size.heads, d_ff=size.inner,
        num_layers=size.layers, num_decoder_layers=size.layers, num_heads=size.heads, dropout_rate=dropout,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip


def _bart(size: Size, dropout: float, tokenizer: PreTrainedTokenizerBase) -> MBartConfig:
    """BART with the norm before each block (mBART's form): BART's own post-norm stalls from random weights here."""
    return MBartConfig(
        vocab_size=len(tokenizer), d_model=size.width, max_position_embeddings=size.max_tokens + 64,
        encoder_layers=size.layers, decoder_layers=size.layers, encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads, encoder_ffn_dim=size.inner, decoder_ffn_dim=size.inner, dropout=dropout,
        attention_dropout=dropout, activation_dropout=0.0, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id, forced_eos_token_id=None, scale_embedding=True,
    )  # fmt: skip


def _from_checkpoint(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    assert spec.pretrained is not None
    config = checkpoint_config(spec.pretrained)
    for name in _DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, spec.dropout)
    model = AutoModelForSeq2SeqLM.from_pretrained(spec.pretrained, config=config, dtype=torch.float32)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    return model


def checkpoint_config(name_or_path: str) -> PretrainedConfig:
    """The configuration of a checkpoint. Raises UserError where it is missing, has no weights or is no seq2seq model."""
    try:
        config = AutoConfig.from_pretrained(name_or_path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no model at {name_or_path!r}: {str(error).splitlines()[0]} Give a folder with config.json and "
            "model.safetensors, or a Hub name that is reachable."
        ) from error
    folder = Path(name_or_path)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise UserError(
            f"--base {name_or_path} holds no weights: no *.safetensors file. Save the model there with save_pretrained()."
        )
    if not config.is_encoder_decoder:
        raise UserError(
            f"--base {name_or_path} is a {config.model_type} model, no encoder-decoder; masking for question answering needs "
            "one (T5, BART, ...)."
        )
    return config
