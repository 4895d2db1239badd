"""From records and kinds to a task: questions on passages, passages that nobody asks about, and splits.

Every choice is a function of the data alone: records in the packages' order, sentences in reading order, and the hash
of the text where something has to be drawn.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

from raylab.data.atlas.questions import Question as Asked
from raylab.data.atlas.record import Prose, Record
from raylab.data.scoring import normalise
from raylab.data.task import SPLITS, Passage, Question, TaskData
from raylab.recipe import digest
from raylab.seeds import derive

VERSION = 1
HELD_OUT = 0.15  # of each kind's questions for dev, and as many for test
_NAME_OR_DATE = re.compile(r"(?<=[a-z,] )[A-Z][\w'-]+(?: [A-Z][\w'-]+)*|\b1\d{3}\b|\b20[0-2]\d\b")


def build(records: Sequence[Record], questions: Sequence[Asked]) -> TaskData:
    """The task that asks `questions` over passages of `records`."""
    evidence = {passage_id(q.prose): _passage(q.prose, q.rendered) for q in questions}
    asked_of = defaultdict(list)
    for question in questions:
        asked_of[question.record.key].append(question)
    beside = [_passage(p, False) for record in records for p in _neighbours(record, asked_of[record.key])]
    corpus = tuple(sorted([*evidence.values(), *beside], key=lambda p: p.id))
    return TaskData(
        name="atlas",
        source="builtin:atlas",
        version=VERSION,
        splits=_splits([_example(q) for q in questions]),
        corpus=corpus,
        corpus_name="atlas",
    )


def passage_id(prose: Prose) -> str:
    """An identity that depends on the text alone."""
    return digest([prose.title, prose.text])


def _passage(prose: Prose, rendered: bool) -> Passage:
    return Passage(id=passage_id(prose), title=prose.title, text=prose.text, rendered=rendered)


def _example(question: Asked) -> Question:
    return Question(
        id=digest(question.text),
        question=question.text,
        answer=question.answers[0],
        answers=question.answers,
        kind=question.kind,
        rendered=question.rendered,
        passage=passage_id(question.prose),
    )


def _neighbours(record: Record, asked: Sequence[Asked]) -> list[Prose]:
    """As many passages of the record as it has evidence: those that name the most that nobody asks about."""
    evidence = {q.prose for q in asked if not q.rendered}
    answers = {q.answers[0] for q in asked}
    others = [p for p in dict.fromkeys(record.prose) if p not in evidence]
    return sorted(others, key=lambda p: (-_unasked(p.text, answers), derive(0, p.text)))[: len(evidence)]


def _unasked(text: str, answers: set[str]) -> int:
    return sum(span not in answers for span in set(_NAME_OR_DATE.findall(text)))


def _splits(examples: Iterable[Question]) -> dict[str, tuple[Question, ...]]:
    """Each kind's questions in the order of their hash: the first go to dev, the next to test, the rest to train."""
    ordered = sorted(examples, key=lambda e: (e.kind, derive(0, normalise(e.question))))
    made: dict[str, list[Question]] = {split: [] for split in SPLITS}
    for _, same_kind in groupby(ordered, key=lambda e: e.kind):
        rows = list(same_kind)
        held_out = max(1, round(HELD_OUT * len(rows)))
        made["dev"] += rows[:held_out]
        made["test"] += rows[held_out : 2 * held_out]
        made["train"] += rows[2 * held_out :]
    return {split: tuple(sorted(rows, key=lambda e: e.id)) for split, rows in made.items()}
