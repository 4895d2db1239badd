"""The base model of a recipe: of any family from random weights, or any checkpoint of an encoder or encoder-decoder."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from logging import getLogger
from pathlib import Path

import torch
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from raylab.errors import UserError
from raylab.models.encoder import roberta
from raylab.models.encoder_decoder import bart, t5
from raylab.models.lstm import lstm
from raylab.recipe import ModelSpec

_log = getLogger(__name__)
_RANDOM = {"t5": t5, "bart": bart, "roberta": roberta, "lstm": lstm}
# as transformers' families call them: of T5; of BART; of BERT and most encoders; of DistilBERT, ModernBERT and ALBERT beside
_DROPOUTS = (
    "dropout_rate", "dropout", "attention_dropout", "activation_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob",
    "embedding_dropout", "mlp_dropout",
)  # fmt: skip
_SET_APART = 4  # positions: two symbols around a text, and the two that RoBERTa's count begins after


def build(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """The base model: from random weights drawn with `seed`, or the checkpoint named in `spec`.

    Encoders come with the head of a masked language model; what a checkpoint lacks of it is drawn with `seed`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if spec.pretrained is not None:
            return _from_checkpoint(spec, tokenizer)
        if spec.embeddings is not None:
            return lstm(spec, tokenizer, token_embeddings(spec.embeddings))
        return _RANDOM[spec.family](spec, tokenizer)


@cache  # a space asks at every draw
def is_encoder_decoder(spec: ModelSpec) -> bool:
    """Whether the base model writes text; else it is an encoder. Raises UserError as `checkpoint_config` does."""
    if spec.pretrained is not None:
        return bool(checkpoint_config(spec.pretrained).is_encoder_decoder)
    return spec.family in ("t5", "bart")


def longest_text(spec: ModelSpec, wanted: int) -> int:
    """Tokens of the longest text that the base model is given: as wanted, or fewer where an encoder's checkpoint has no positions
    for so many and the symbols around them."""
    if spec.pretrained is None or is_encoder_decoder(spec):
        return wanted
    positions: int = getattr(checkpoint_config(spec.pretrained), "max_position_embeddings", 0)
    return min(wanted, positions - _SET_APART) if positions > 0 else wanted


def _from_checkpoint(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    assert spec.pretrained is not None
    config = checkpoint_config(spec.pretrained)
    for name in _DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, spec.dropout)
    model = _loaded(spec.pretrained, config)
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer))
    return model


def _loaded(name_or_path: str, config: PretrainedConfig) -> PreTrainedModel:
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForMaskedLM
    with _quietly():
        model, found = kind.from_pretrained(name_or_path, config=config, dtype=torch.float32, output_loading_info=True)
    if found["missing_keys"]:
        _tell_what_lacks(name_or_path, ", ".join(sorted(found["missing_keys"])))
    loaded: PreTrainedModel = model
    return loaded


@cache  # once a process
def _tell_what_lacks(name_or_path: str, weights: str) -> None:
    _log.warning("%s lacks weights, which begin at random: %s", name_or_path, weights)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' bars, and its table of what a checkpoint lacks."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def checkpoint(name_or_path: str) -> PreTrainedModel:
    """A checkpoint as it is, the same at each call whatever it lacks. Raises UserError as `checkpoint_config` does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _loaded(name_or_path, checkpoint_config(name_or_path))


def token_embeddings(name_or_path: str) -> torch.Tensor:
    """The token embeddings (V, E) of a checkpoint. Raises UserError as `checkpoint_config` does."""
    checkpoint_config(name_or_path)
    with _quietly():
        model = AutoModel.from_pretrained(name_or_path, dtype=torch.float32)
    weight: torch.Tensor = model.get_input_embeddings().weight
    return weight.detach()


def checkpoint_config(name_or_path: str) -> PretrainedConfig:
    """The configuration of a checkpoint. Raises UserError where it is missing, has no weights, or is neither an encoder nor an
    encoder-decoder."""
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
    if not config.is_encoder_decoder and type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise UserError(
            f"--base {name_or_path} is a {config.model_type} model, neither an encoder-decoder (T5, BART, ...) nor an encoder "
            "with a masked language model's head (BERT, RoBERTa, ...); give one of those."
        )
    return config
