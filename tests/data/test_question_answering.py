"""Rows to examples: every layout, and every way a row can be wrong."""

import dataclasses

import pytest

from raylab.data.families.question_answering import DATASETS, QuestionSet, read_example
from raylab.data.passages import read_passages
from raylab.data.rows import Row
from raylab.errors import UserError


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        ({"question": "Who?", "answer": "me"}, ("me",)),
        ({"question": "Who?", "answers": ["me", "I", "me"]}, ("me", "I")),
        ({"question": "Who?", "answer": "I", "answers": ["me", "I"]}, ("I", "me")),
        ({"question": "Who?", "answer": ["me", "I"]}, ("me", "I")),
        ({"question": "Who?", "answer": {"value": "me", "aliases": ["I"]}, "question_id": "7"}, ("me", "I")),
        ({"question": "Who?", "answer": {"value": "me", "aliases": []}}, ("me",)),
        ({"Question": "Who?", "QuestionId": "7", "Answer": {"Value": "me", "Aliases": ["I"]}}, ("me", "I")),
        ({"question": "Who?", "context": "It is me.", "answers": {"text": ["me"], "answer_start": [6]}}, ("me",)),
    ],
)  # fmt: skip
def test_layouts(row: Row, answers: tuple[str, ...]) -> None:
    example, _ = read_example(row, "here", "stand-in")
    assert example.question == "Who?"
    assert example.answers == answers and example.answer == answers[0]
    assert example.id == ("7" if "7" in row.values() else "stand-in")


def test_passages_that_rows_carry() -> None:
    row = {"question": "Who?", "answer": "me", "title": "T", "passage": "It is me.", "answer_start": 6}
    example, (passage,) = read_example(row, "here", "1")
    assert (passage.title, passage.text) == ("T", "It is me.") and example.passage == passage.id
    evidence = {"question": "Who?", "answer": "me", "evidence": [{"title": "T", "text": "It is me."}, {"text": "Not you."}]}
    again, two = read_example(evidence, "here", "2")
    assert again.passage == passage.id and len(two) == 2  # the same passage has the same id
    assert read_passages({"text": " Only text. "}, "here")[0].text == "Only text."


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answers": ["me"]}, "has no `question`; got answers"),
        ({"question": " ", "answer": "me"}, "question is ' '; expected a text"),
        ({"question": 3, "answer": "me"}, "question is 3; expected a text"),
        ({"question": "Who?"}, "has neither `answers` nor `answer`"),
        ({"question": "Who?", "answers": None, "answer": None}, "has neither `answers` nor `answer`"),
        ({"question": "Who?", "answers": "me"}, "answers is 'me'; expected a list of texts"),
        ({"question": "Who?", "answers": []}, "answers is []; expected a list of texts"),
        ({"question": "Who?", "answers": ["me", ""]}, "none empty"),
        ({"question": "Who?", "answers": ["me", 4]}, "expected a list of texts"),
        ({"question": "Who?", "answer": ""}, "answer is ''; expected a text that is not empty"),
        ({"question": "Who?", "answer": 4}, "answer is 4; expected a text"),
        ({"question": "Who?", "answer": "me", "passage": ""}, "passage is ''; expected a text"),
        ({"question": "Who?", "answer": "me", "evidence": ["It is me."]}, "expected a list of objects with title and text"),
        (
            {"question": "Who?", "answer": "me", "passage": "It is me.", "answer_start": 3},
            "has 'is' at answer_start 3; expected the answer 'me'",
        ),
        (
            {"question": "Who?", "answer": "me", "passage": "It is me.", "answer_start": "6"},
            "answer_start is '6'; expected the number",
        ),
        ({"question": "Who?", "answer": "me", "answer_start": 6}, "has no passage at answer_start 6"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_told_with_its_place(row: Row, said: str) -> None:
    with pytest.raises(UserError) as error:
        read_example(row, "f.jsonl, line 9", "1")
    assert said in str(error.value) and str(error.value).startswith("f.jsonl, line 9")


@pytest.mark.parametrize("row", [{"title": "no text"}, {"text": ""}, {"text": 7}, {"passage": "  "}])
def test_a_wrong_passage_is_told_with_its_place(row: Row) -> None:
    with pytest.raises(UserError, match=r"^f\.jsonl, line 9"):
        read_passages(row, "f.jsonl, line 9")


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_every_entry_is_whole(dataset: QuestionSet) -> None:
    assert {"train", "test"} <= set(dataset.splits)
    assert dataset.licence and dataset.source and dataset.version >= 1
    fixture = dataset.fixture()
    for rows in fixture.rows.values():
        assert rows and all(set(row) == set(dataset.hub.columns) for row in rows)
    assert dataclasses.asdict(dataset.fixture()) == dataclasses.asdict(fixture)
