"""The dropout of a model as it stands, whatever its family calls it."""

from torch import nn


def set_dropout(model: nn.Module, rate: float) -> None:
    """Let every part of the model drop the fraction `rate` of its numbers in training: dropout modules, and what attention and
    feed-forward layers of transformers keep as a number of their own (T5, BART, RoBERTa, ...)."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, rate)
