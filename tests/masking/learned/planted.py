"""A task whose answers are easy to tell from the passage: what a supervised policy must find."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from raylab.data.prepared import Prepared
from raylab.data.task import Passage, Question, TaskData
from raylab.masking.learned.supervised import Supervised
from tests import tiny

FIRST = ("Bar", "Mel", "Tor", "Vin", "Kal", "Sor", "Pel", "Dun", "Fen", "Gar")
SECOND = ("dale", "wick", "ford", "stad", "mere", "holm", "burg", "ness", "low", "ton")
QUICK = Supervised(width=16, layers=1, epochs=14, batch_size=16)


def task() -> TaskData:
    """Each passage tells of a place, its river, its year and its mayor; every question asks for the mayor."""
    passages, questions = [], []
    for i, (first, second) in enumerate((a, b) for a in FIRST for b in SECOND):
        place, mayor = first + second, SECOND[i % 7].capitalize() + FIRST[(i * 3) % 10].lower()
        text = f"{place} lies on the river {FIRST[(i * 7) % 10]}, was founded in {1500 + 3 * i}, and {mayor} is its mayor."
        passages.append(Passage(id=str(i), title=place, text=text))
        questions.append(
            Question(id=f"q{i}", question=f"Who is the mayor of {place}?", answer=mayor, answers=(mayor,), passage=str(i))
        )
    splits = {"train": tuple(questions[:60]), "dev": tuple(questions[60:80]), "test": tuple(questions[80:])}
    return TaskData(
        name="mayors", source="builtin:mayors", version=1, splits=splits, corpus=tuple(passages), corpus_name="mayors"
    )


@cache
def prepared() -> Prepared:
    """The task made ready, once for all tests of a process."""
    return tiny.prepared(Path(mkdtemp(prefix="raylab-mayors-")), task())
