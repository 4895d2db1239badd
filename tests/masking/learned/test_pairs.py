"""Questions are joined to the passages that answer them, and to the places of the answers there."""

from dataclasses import dataclass

from raylab.data.annotation import TokenisedText
from raylab.data.corpus import tokenise
from raylab.data.task import Passage
from raylab.data.tokenizer import train_bpe
from raylab.masking.learned.pairs import Asked, Pairs, pairs

PASSAGES = (
    Passage(id="a", title="Norway", text="Oslo is the capital. Long before, in 1814, OSLO had another name."),
    Passage(id="b", title="Sweden", text="Stockholm is the capital of Sweden, and lies far from Oslo."),
    Passage(id="c", title="Oslo", text="The town was founded on 3 May 1048."),
)


@dataclass(frozen=True)
class Question:
    question: str
    answers: tuple[str, ...]


def joined(*questions: Question) -> tuple[Pairs, TokenisedText]:
    text = tokenise(PASSAGES, train_bpe([p.text for p in PASSAGES], 400), 64)
    return pairs(questions, text), text


def told(pair: Asked, text: TokenisedText) -> list[str]:
    begin = text.starts_P1[pair.row]
    return [text.texts[pair.row][text.char_starts_N[begin + a] : text.char_ends_N[begin + b - 1]].strip() for a, b in pair.spans]


def test_an_answer_is_found_at_all_its_places_in_the_passage_that_goes_with_the_question() -> None:
    found, text = joined(Question("What is the capital of Norway?", ("Oslo", "Christiania")))
    assert [(pair.row, told(pair, text)) for pair in found.asked] == [(0, ["Oslo", "OSLO"])]


def test_the_longer_of_two_aliases_counts_where_one_stands_in_the_other() -> None:
    found, text = joined(Question("When was Oslo founded, the town?", ("1048", "3 May 1048")))
    assert [told(pair, text) for pair in found.asked] == [["3 May 1048"]]


def test_a_title_is_no_place_of_an_answer() -> None:
    found, _ = joined(Question("Which town was founded on 3 May 1048?", ("Oslo",)))
    assert all(pair.row != 2 for pair in found.asked)


def test_questions_without_a_passage_are_counted() -> None:
    found, _ = joined(
        Question("Who painted the Scream?", ("Munch",)), Question("Which zebra quux?", ("Stockholm",)),
        Question("What is the capital of Sweden?", ("Stockholm",)),
    )  # fmt: skip
    assert (found.questions, found.found) == (3, 2)
    assert {pair.row for pair in found.asked} == {1}
