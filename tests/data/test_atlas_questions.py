"""Asking: what a kind finds in a record, and what is left out; on invented records."""

from dataclasses import replace

import pytest

from raylab.data.atlas import elements, factbook
from raylab.data.atlas.build import build
from raylab.data.atlas.kind import Evidence, Kind
from raylab.data.atlas.kinds import KINDS
from raylab.data.atlas.package import folder
from raylab.data.atlas.questions import ask
from raylab.data.atlas.record import Prose, Record
from raylab.errors import UserError


def record(*texts: str, **fields: str) -> Record:
    prose = tuple(Prose(section="about", title="Quillon", text=text) for text in texts)
    return Record(key="q", family="factbook", name="Quillon", named="the Quillon", fields=fields, prose=prose)


CAPITAL = Kind(name="capital", question="What is the capital of {named}?", field="capital")
YEAR = Kind(name="year", question="When was {name} founded?", shape=r"\d{4}", evidence=(Evidence("founded in ANSWER"),))


def test_a_field_is_asked_about_where_prose_states_it() -> None:
    (question,) = ask([record("All roads lead to Merrin.", capital="Merrin, Sollis")], [CAPITAL])
    assert question.text == "What is the capital of the Quillon?"
    assert question.answers == ("Merrin", "Sollis")
    assert question.prose.text == "All roads lead to Merrin." and not question.rendered


def test_the_answer_is_the_form_that_stands_in_the_passage_as_whole_words() -> None:
    (question,) = ask([record("Merrins and Ost-Merrin belong to Sollis.", capital="Merrin, Sollis")], [CAPITAL])
    assert question.answers[0] == "Sollis"


def test_the_shortest_evidence_of_the_best_kind_is_taken() -> None:
    kind = replace(CAPITAL, evidence=(Evidence("capital, ANSWER"), Evidence()))
    (question,) = ask([record("Merrin.", "The grand old capital, Merrin.", "The capital, Merrin.", capital="Merrin")], [kind])
    assert question.prose.text == "The capital, Merrin."


def test_without_evidence_a_template_is_rendered_or_nothing_asked() -> None:
    silent = record("Nothing is said here.", capital="Merrin")
    assert ask([silent], [CAPITAL]) == ()
    (question,) = ask([silent], [replace(CAPITAL, rendered="The capital of {named} is {answer}.")])
    assert question.rendered and question.prose.text == "The capital of the Quillon is Merrin."


def test_evidence_may_be_bound_to_a_section() -> None:
    kind = replace(CAPITAL, evidence=(Evidence("ANSWER", ("elsewhere",)),))
    assert ask([record("Merrin is large.", capital="Merrin")], [kind]) == ()


def test_prose_that_contradicts_itself_is_not_asked_about() -> None:
    assert [q.answers for q in ask([record("It was founded in 1871.")], [YEAR])] == [("1871",)]
    assert ask([record("It was founded in 1871.", "Others say it was founded in 1902.")], [YEAR]) == ()


def test_a_question_that_holds_its_answer_is_not_asked() -> None:
    assert ask([record("The city of Quillon is large.", capital="Quillon")], [CAPITAL]) == ()
    assert ask([record("The city of Quill is large.", capital="Quill")], [CAPITAL]) == ()


def test_groups_fill_the_question_and_a_second_answer_is_accepted() -> None:
    kind = Kind(
        name="word",
        question="What does {word} mean in {name}?",
        shape=r"\w+",
        evidence=(Evidence(r"(?P<word>\w+) means ANSWER(?: or (?P<also>\w+))?"),),
    )
    (question,) = ask([record("There tesk means quiet or calm.")], [kind])
    assert (question.text, question.answers) == ("What does tesk mean in Quillon?", ("quiet", "calm"))


def test_a_kind_keeps_at_most_its_share() -> None:
    records = [
        replace(record("All go to Merrin.", capital="Merrin"), key=str(i), name=str(i), named=f"place {i}") for i in range(9)
    ]
    kept = ask(records, [replace(CAPITAL, most=4)])
    assert len(kept) == 4
    assert kept == ask(records, [replace(CAPITAL, most=4)])


def test_beside_the_evidence_stands_a_passage_that_names_what_nobody_asks_about() -> None:
    text = ("All roads lead to Merrin.", "Nothing at all happens there.", "In 1871 the poet Ada Ferrow met Tomas Irrel there.")
    source = record(*text, capital="Merrin")
    task = build([source], ask([source], [CAPITAL]))
    assert {p.text for p in task.corpus} == {text[0], text[2]}


def test_names_of_kinds_are_different_and_their_patterns_compile() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert all(len(kind.patterns(("Merrin", "Port Sollis"))) == len(kind.evidence) for kind in KINDS)
    assert {kind.family for kind in KINDS} == {"factbook", "elements"}


def test_records_have_names_one_can_ask_about() -> None:
    records = (*factbook.records(), *elements.records())
    names = [r.name for r in records]
    assert len(names) == len(set(names)) > 350
    assert not [name for name in names if any(sign in name for sign in "(;,<&") or name == "none" or len(name) < 3]
    named = {r.name: r.named for r in records}
    assert named["Bahamas"] == "the Bahamas" and named["Ghana"] == "Ghana" and named["Gold"] == "gold"


def test_a_missing_package_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="needs no-such-package, which is not installed: pip install no-such-package"):
        folder("no_such_package", "no-such-package")
