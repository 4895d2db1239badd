"""What families have in common that ask for words."""

from typing import Any

from torch import nn

from raylab.errors import UserError


def check_writes(model: nn.Module, mode: str, task: str) -> None:
    """Raise UserError for a model without a decoder, and for frozen features, on which there would be nothing to train."""
    config: Any = model.config
    if not config.is_encoder_decoder:
        raise UserError(
            f"{task} asks for an answer in words, which a {config.model_type} model does not write. Take an encoder-decoder "
            "(T5, BART, ...)."
        )
    if mode != "full":
        raise UserError(f"{task} has no head that could be trained on frozen features; finetune it with mode 'full'.")
