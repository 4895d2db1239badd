"""The words of the data: a question, a passage, and a task with its splits and its corpus."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One question. `answer` is the canonical answer (what bits are counted of); `answers` are all accepted aliases,
    the canonical one among them. `kind` groups questions (atlas: "capital", ...). `rendered` marks a question that
    rests on a passage made from a template instead of somebody's prose. `passage` is the id of the passage that
    holds the answer, where known."""

    id: str
    question: str
    answer: str
    answers: tuple[str, ...]
    kind: str = ""
    rendered: bool = False
    passage: str = ""


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

    source: "local:PATH", "hub:ID" or "builtin:atlas". version: raised when the task's definition changes. notes: what
    a reader of the results must know (splits made by raylab, questions left out); warnings: what must stand in the
    headline (another data set than the one asked for).
    """

    name: str
    source: str
    version: int
    splits: Mapping[str, tuple[Example, ...]]
    corpus: tuple[Passage, ...]
    corpus_name: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
