"""Extractive reading: the answers to a question are spans of a text.

A user's rows have `passage` (or `context`), `question`, `answers`, and where they start in the passage as `answer_start`, in
characters: of the first answer, or a list with one place each. SQuAD's official file and the Hub's copies are read as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from raylab.data.families._span import ENTRIES
from raylab.data.fields import Incomplete, at, short
from raylab.data.rows import Row
from raylab.data.table import Classes, Entry, Layout, Table, required, text_of, texts_of
from raylab.data.task import Example, Extract
from raylab.errors import UserError


class Span(Table):
    """exact_match and f1 of the words, as SQuAD defines them: the best over all answers."""

    __slots__ = ()
    example: ClassVar[type[Example]] = Extract
    measures: ClassVar[Mapping[str, bool]] = {"f1": True, "exact_match": True}
    fields: ClassVar[tuple[str, ...]] = ("text", "question")
    pointed_at: ClassVar[tuple[str, ...]] = ("text",)
    datasets: ClassVar[Mapping[str, Entry]] = {entry.name: entry for entry in ENTRIES}
    layouts: ClassVar[tuple[Layout, ...]] = (
        {"text": "passage", "question": "question", "answers": "answers", "starts": "answer_start"},
        {"text": "passage", "question": "question", "answers": "answer", "starts": "answer_start"},
        {"text": "context", "question": "question", "answers": "answers", "starts": "answer_start"},
        {"text": "context", "question": "question", "answers": "answers.text", "starts": "answers.answer_start"},
    )

    @classmethod
    def example_of(cls, row: Row, layout: Layout, where: str, name: str, classes: Classes) -> Extract:
        text = required(row, str(layout["text"]), where)
        if not isinstance(text, str):
            raise UserError(f"{where}: {layout['text']} is {short(text)}; expected a text.")
        answers = texts_of(row, layout["answers"], where)
        starts = _given(at(row, str(layout["starts"])), str(layout["starts"]), where) if "starts" in layout else ()
        spans = _spans(text, answers, starts, where)
        question = text_of(row, layout["question"], where)
        return Extract(
            id=name, text=text, question=question, answers=tuple(answer for answer, _ in spans), starts=tuple(s for _, s in spans)
        )


def _given(value: Any, column: str, where: str) -> Sequence[int]:
    starts = value if isinstance(value, list) else [value]
    if not all(isinstance(start, int) and not isinstance(start, bool) and start >= 0 for start in starts):
        raise UserError(f"{where}: {column} is {short(value)}; expected the number of characters before the answer in the text.")
    return starts


def _spans(text: str, answers: Sequence[str], starts: Sequence[int], where: str) -> list[tuple[str, int]]:
    """Each answer and where it starts: where it is said to, or else where it first stands. An alias that is not in the text is
    left out.

    Raises UserError if the text has something else at a place that is given, Incomplete if it has no answer at all.
    """
    spans: dict[str, int] = {}
    for answer, start in zip(answers, starts, strict=False):
        if not text[start:].startswith(answer):
            found = short(text[start : start + len(answer)])
            raise UserError(f"{where}: the text has {found} at answer_start {start}; expected the answer {answer!r}.")
        spans.setdefault(answer, start)
    for answer in answers[len(starts) :]:
        if answer in text:
            spans.setdefault(answer, text.index(answer))
    if not spans:
        raise Incomplete(f"{where}: no answer stands in the text ({short(answers[0])}); expected spans of it.")
    return list(spans.items())
