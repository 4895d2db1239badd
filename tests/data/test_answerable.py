"""Which answers stand in a corpus, and which of them becomes the canonical one."""

import pytest

from raylab.data.answerable import Occurrences, answerable, occurrences, with_canonical_answer
from raylab.data.task import Question

TEXTS = ("The USA and the Usa; New York, new york.", "In 1999 about 1,200 people (.5 %) saw J. R. R. Tolkien's U.S. visit.")


@pytest.mark.parametrize(
    ("phrase", "count"),
    [
        ("USA", (1, 2)),
        ("New York", (1, 2)),
        ("York", (1, 2)),
        ("Yor", (0, 0)),  # whole words only
        ("York new", (1, 1)),  # punctuation between words does not count
        ("1,200", (1, 1)),
        ("200", (0, 0)),  # a part of a number is another number
        (".5", (1, 1)),
        ("5", (0, 0)),
        ("J.R.R. Tolkien", (1, 1)),
        ("visit", (1, 1)),
        ("visit the", (0, 0)),  # texts do not run into each other
        ("\U0001f681", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_occurrences(phrase: str, count: tuple[int, int]) -> None:
    assert Occurrences([phrase, "new york city", "usa and"], TEXTS).count(phrase) == count


def _ask(answer: str, *aliases: str) -> Question:
    return Question(id="1", question="?", answer=answer, answers=(answer, *aliases))


@pytest.mark.parametrize(
    ("example", "canonical"),
    [
        (_ask("Gin", "gin"), "Gin"),  # it stands there as written
        (_ask("GIN", "Gin", "gin"), "gin"),  # it does not; gin stands there twice
        (_ask("Mother's ruin", "Gin", "GIN"), "Gin"),
        (_ask("gIN", "GIN"), "gIN"),  # none as written: the first of equals
        (_ask("Rum", "Whisky"), "Rum"),  # none at all
    ],
)
def test_canonical_answer(example: Question, canonical: str) -> None:
    counts = occurrences([example], ["Gin is a drink.", "They drink gin, gin."])
    chosen = with_canonical_answer(example, counts)
    assert chosen.answer == canonical
    assert chosen.answers == example.answers
    assert answerable(example, counts) == (canonical != "Rum")
