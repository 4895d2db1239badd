"""The words of the data: an example of each family of tasks, a passage, and a task with its splits and its corpus."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raylab.data.scoring import normalise

SPLITS = ("train", "dev", "test")
QUESTION_ANSWERING = "question_answering"  # the family of what was prepared before there were others


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One example of a task; what it asks and what is expected are its family's own fields.

    `kind` groups examples (atlas: "capital", ...). `rendered` marks one that rests on a text made from a template instead
    of somebody's prose. `passage` is the id of the corpus's passage that it rests on, where known.
    """

    id: str
    kind: str = ""
    rendered: bool = False
    passage: str = ""

    def inputs(self) -> tuple[str, ...]:
        """The texts that a model is given: never what it is to predict."""
        raise NotImplementedError

    def texts(self) -> tuple[str, ...]:
        """The same as texts to pretrain on: each of them a passage."""
        return (" ".join(text for text in self.inputs() if text),)

    def identity(self) -> str:
        """Equal for two examples that ask the same: they do not stand on both sides of a split."""
        return "\n".join(self.inputs())

    def unit(self) -> str:
        """What decides the split of an example where raylab makes the splits: examples of one unit stay together."""
        return self.identity()


@dataclass(frozen=True, kw_only=True, slots=True)
class Question(Example):
    """Question answering. `answer` is the canonical answer (what bits are counted of); `answers` are all accepted aliases,
    the canonical one among them."""

    question: str
    answer: str
    answers: tuple[str, ...]

    def inputs(self) -> tuple[str, ...]:
        return (self.question,)

    def identity(self) -> str:
        """Two spellings of one question ask the same."""
        return normalise(self.question)


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled(Example):
    """Classification of a text, or of a pair of texts. `label` is the place of its class in `TaskData.labels`."""

    text: str
    text_b: str = ""
    label: int

    def inputs(self) -> tuple[str, ...]:
        return (self.text, self.text_b) if self.text_b else (self.text,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored(Example):
    """Regression: a number for a text, or for a pair of texts."""

    text: str
    text_b: str = ""
    score: float

    def inputs(self) -> tuple[str, ...]:
        return (self.text, self.text_b) if self.text_b else (self.text,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice(Example):
    """Multiple choice. `label` is the place of the right one of `choices`; `text` may be empty."""

    text: str
    choices: tuple[str, ...]
    label: int

    def inputs(self) -> tuple[str, ...]:
        return (self.text, *self.choices)


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract(Example):
    """Extractive reading: the answers to `question` stand in `text`, each at its place in `starts`, in characters."""

    text: str
    question: str
    answers: tuple[str, ...]
    starts: tuple[int, ...]

    def inputs(self) -> tuple[str, ...]:
        return (self.text, self.question)

    def texts(self) -> tuple[str, ...]:
        """A passage that many are asked about is one text."""
        return self.inputs()

    def unit(self) -> str:
        """The questions about one passage stay together."""
        return self.text


@dataclass(frozen=True, kw_only=True, slots=True)
class Tagged(Example):
    """Token tagging: one of `TaskData.labels` for every word of `tokens`, as its place there."""

    tokens: tuple[str, ...]
    tags: tuple[int, ...]

    def inputs(self) -> tuple[str, ...]:
        return (" ".join(self.tokens),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite(Example):
    """Generation: `target` is what a model learns to write for `source`; `references` are all accepted texts, it among them."""

    source: str
    target: str
    references: tuple[str, ...]

    def inputs(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """One text of a corpus, with the title that stands before it. `rendered`: made from a template, not prose."""

    id: str
    title: str
    text: str
    rendered: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskData:
    """A task as loaded: what training and scoring read, and where it came from.

    family: of raylab.data.families; its examples are of that family's class. labels: the names of the classes or tags, in
    the order that examples count them by; none for a family without. source: "local:PATH", "hub:ID" or "builtin:atlas".
    version: raised when the task's definition changes. notes: what a reader of the results must know (splits made by
    raylab, questions left out); warnings: what must stand in the headline (another data set than the one asked for).
    """

    name: str
    source: str
    version: int
    splits: Mapping[str, tuple[Any, ...]]
    corpus: tuple[Passage, ...]
    corpus_name: str
    family: str = QUESTION_ANSWERING
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
