"""Questions found in records: what a kind asks, the answer as it stands in a passage, and that passage."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from raylab.data.atlas.answers import Names
from raylab.data.atlas.kind import Kind
from raylab.data.atlas.record import Prose, Record
from raylab.data.atlas.text import plain
from raylab.data.scoring import normalise
from raylab.seeds import derive


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question with the passage that holds its answer; the first of `answers` is the one that stands there."""

    kind: str
    text: str
    answers: tuple[str, ...]
    record: Record
    prose: Prose
    rendered: bool = False


def ask(records: Iterable[Record], kinds: Iterable[Kind]) -> tuple[Question, ...]:
    """All questions of `kinds` about `records` that have one answer, which stands in a passage and not in the question."""
    kinds = tuple(kinds)
    found = (q for record in records for kind in kinds if kind.family == record.family for q in _of(kind, record))
    return tuple(_at_most(_answered_once(q for q in found if not _given_away(q)), {kind.name: kind.most for kind in kinds}))


def _at_most(questions: Iterable[Question], most: Mapping[str, int]) -> Iterator[Question]:
    """Of each kind the questions that come first: those on prose before rendered ones, else in the order of their hash."""
    by_kind: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_kind[question.kind].append(question)
    for name, same_kind in by_kind.items():
        yield from sorted(same_kind, key=lambda q: (q.rendered, derive(0, q.text)))[: most[name]]


def _of(kind: Kind, record: Record) -> Iterator[Question]:
    names = kind.read(plain(record.fields.get(kind.field, ""))) if kind.field else ()
    if kind.field and not names:
        return
    stated = [list(_in_prose(kind, record, names, pattern, sections)) for pattern, sections in kind.patterns(names)]
    if not kind.field:
        yield from (question for found in stated for question in found)
    elif best := next(filter(None, stated), None):
        yield min(best, key=lambda q: len(q.prose.text))
    elif kind.rendered:
        yield _rendered(kind, record, names)


def _in_prose(kind: Kind, record: Record, names: Names, pattern: re.Pattern[str], sections: Names) -> Iterator[Question]:
    for prose in record.prose:
        if not sections or prose.section in sections:
            for match in pattern.finditer(prose.text):
                yield _question(kind, record, names, prose, match)


def _question(kind: Kind, record: Record, names: Names, prose: Prose, match: re.Match[str]) -> Question:
    answer, slots = match["answer"], match.groupdict()
    also = kind.widen(slots["also"]) if slots.get("also") else ()
    return Question(
        kind=kind.name,
        text=kind.question.format(name=record.name, named=record.named, **{n: _inside(match, n) for n in slots}),
        answers=tuple(dict.fromkeys((answer, *kind.widen(answer), *also, *names))),
        record=record,
        prose=prose,
    )


def _inside(match: re.Match[str], group: str) -> str:
    """A group's text as it stands inside a sentence: what begins a passage has its capital from there."""
    text = match[group] or ""
    return text.lower() if match.start(group) == 0 else text


def _rendered(kind: Kind, record: Record, names: Names) -> Question:
    text = kind.rendered.format(named=record.named, answer=names[0])
    return Question(
        kind=kind.name,
        text=kind.question.format(name=record.name, named=record.named),
        answers=names,
        record=record,
        prose=Prose(section=kind.field, title=record.name, text=text),
        rendered=True,
    )


def _given_away(question: Question) -> bool:
    """Whether an answer stands in the question, or only lacks the end of a word of it ("Thai" in "Thailand")."""
    asked = f" {normalise(question.text)}"
    return any(f" {normalise(answer)}" in asked for answer in question.answers)


def _answered_once(questions: Iterable[Question]) -> Iterator[Question]:
    """The first of the questions with one text, unless they disagree about the answer."""
    by_text: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        by_text[normalise(question.text)].append(question)
    for same in by_text.values():
        if len({normalise(q.answers[0]) for q in same}) == 1:
            yield same[0]
