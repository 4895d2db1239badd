"""Base models that several studies take where a person names none."""

from dataclasses import replace

from raylab.recipe import ModelSpec
from raylab.search.comparison.declared import Asked


def encoder(asked: Asked) -> ModelSpec:
    """The checkpoint that was asked for, or an encoder from random weights at the scale that was."""
    return asked.base if asked.base.pretrained else replace(asked.base, family="roberta")
