"""Encoder-decoders from random weights: T5- and BART-like, at raylab's scales."""

from transformers import (
    MBartConfig,
    MBartForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)

from raylab.models.sizes import Size, size_of
from raylab.recipe import ModelSpec


def t5(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """T5 (Raffel et al. 2020), weights from torch's random state."""
    return T5ForConditionalGeneration(_t5(size_of(spec), spec.dropout, tokenizer))


def bart(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """BART (Lewis et al. 2020), weights from torch's random state."""
    return MBartForConditionalGeneration(_bart(size_of(spec), spec.dropout, tokenizer))


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
