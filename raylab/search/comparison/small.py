"""Base models and tasks that several studies take where a person names none."""

from dataclasses import replace

from raylab.recipe import ModelSpec
from raylab.search.comparison.declared import Asked, Case


def encoder(asked: Asked) -> ModelSpec:
    """The checkpoint that was asked for, or an encoder from random weights at the scale that was."""
    return asked.base if asked.base.pretrained else replace(asked.base, family="roberta")


def writing_tasks(asked: Asked) -> list[Case]:
    """Tasks whose answers are written: questions, and titles of texts; with a folder of data, questions and summaries."""
    if asked.datasets or asked.data_dir is None:
        return [Case(name=name, data=asked.data(name)) for name in asked.datasets or ("atlas", "atlas_title")]
    return [
        Case(name="triviaqa", data=asked.data("triviaqa", corpus="wiki_vital4")),
        Case(name="scitldr", data=asked.data("scitldr")),
    ]
