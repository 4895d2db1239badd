"""Tasks of every family made of the atlas's records: small, plain, learnable, and on any machine without a network.

Records are split by the hash of their key, the same way for all of these tasks, and each split is made of its own records
alone: what a model reads about a country or an element in training never stands in dev or test, also not as a wrong choice.
A task is one function from the records and questions of a split to examples, and one entry in TASKS.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

from raylab.data.assembly import Limits, Texts, assemble
from raylab.data.atlas import elements, factbook
from raylab.data.atlas.kinds import KINDS
from raylab.data.atlas.questions import Question, ask
from raylab.data.atlas.record import Prose, Record
from raylab.data.atlas.text import plain
from raylab.data.family import Examples, family_of
from raylab.data.splits import sample, unit_hash
from raylab.data.task import SPLITS, Choice, Example, Extract, Labelled, Rewrite, Scored, Tagged, TaskData
from raylab.recipe import digest

VERSION = 1
HELD_OUT = 0.15  # of the records for dev, and as many for test
MOST = {"train": 2000, "dev": 400, "test": 400}  # examples of a task, chosen by hash
CHOICES = 4
T = TypeVar("T")

SECTIONS = {
    factbook.FLAG: "flag", factbook.AMENDMENT: "constitution", factbook.CONSTITUTION: "constitution", factbook.NAME: "name",
    factbook.CAPITAL: "capital", factbook.ANTHEM: "anthem", factbook.BACKGROUND: "history", factbook.NOTE: "geography",
    "Geography/Population distribution": "population", "Government/National coat of arms": "coat of arms",
    elements.DESCRIPTION: "element", elements.USES: "use of an element",
}  # fmt: skip
FIELDS = {
    "Geography/Climate": "climate", "Geography/Terrain": "terrain", "Geography/Natural hazards": "natural hazards",
    "Environment/Environmental issues": "environment", "People and Society/Ethnic groups": "ethnic groups",
    "People and Society/Religions": "religions", "Economy/Industries": "industries",
    "Government/Judicial branch/highest court(s)": "courts", "Military and Security/Military and security forces": "forces",
}  # fmt: skip
REGIONS = (
    "Africa", "Asia", "Central America and the Caribbean", "Europe", "Middle East", "Oceania", "South America", "Southeast Asia"
)  # fmt: skip
PERIODS = ("before 1800", "19th century", "1900 to 1949", "1950 to 1999", "since 2000")
ENTAILMENT = ("entailment", "not_entailment")
TOPICS = tuple(sorted(set(SECTIONS.values())))
NAME_TAGS = ("O", "B-country", "I-country", "B-element", "B-year")
_YEAR = re.compile(r"(?<![\w-])(?:1[4-9]|20)\d\d(?![\w-])")
_WORD = re.compile(r"\w+(?:['-]\w+)*|[^\w\s]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What one split is made of. named: the names of all records, whatever their split, by the record's family."""

    records: Sequence[Record]
    questions: Sequence[Question]
    named: Mapping[str, str]

    def prose(self) -> Iterator[tuple[Record, Prose]]:
        """Every passage with its record."""
        yield from ((record, prose) for record in self.records for prose in dict.fromkeys(record.prose))


@dataclass(frozen=True, kw_only=True, slots=True)
class AtlasTask:
    """One task. about: what is asked, in a line."""

    name: str
    family: str
    about: str
    make: Callable[[Facts], Iterator[Example]]
    labels: tuple[str, ...] = ()


def load_task(name: str, limits: Limits, texts: Texts | None = None) -> TaskData:
    """The task of that name over a corpus, or over its own text. Raises UserError if a package of the atlas is missing."""
    task = TASKS[name]
    splits = {split: _numbered(name, split, task.make(facts)) for split, facts in _facts().items()}
    return assemble(
        Examples(splits=splits, labels=task.labels), texts, limits, family=family_of(task.family), name=name,
        source=f"builtin:{name}", version=VERSION,
    )  # fmt: skip


def _numbered(name: str, split: str, made: Iterator[Example]) -> tuple[Example, ...]:
    """At most so many examples as a split has, those that ask the same once, each with an id made of its content."""
    once = {example.identity(): example for example in made}
    chosen = sample(tuple(once.values()), MOST[split], key=lambda example: f"{name}\n{example.identity()}")
    return tuple(replace(example, id=digest([name, example.identity()])) for example in chosen)


@cache
def _facts() -> dict[str, Facts]:
    """Records and questions by split; a record's split follows from its key."""
    records: dict[str, list[Record]] = defaultdict(list)
    for record in (*factbook.records(), *elements.records()):
        place = unit_hash(f"atlas {record.key}")
        records["dev" if place < HELD_OUT else "test" if place < 2 * HELD_OUT else "train"].append(record)
    every = [replace(kind, most=10**6) for kind in KINDS]
    named = {name: r.family for split in SPLITS for r in records[split] for name in (r.name, r.named)}
    return {split: Facts(records=records[split], questions=ask(records[split], every), named=named) for split in SPLITS}


def _drawn(items: Sequence[T], key: str) -> T:
    """One of the items, by hash."""
    return items[int(unit_hash(key) * len(items))]


def _topic(facts: Facts) -> Iterator[Example]:
    for _, prose in facts.prose():
        if (topic := SECTIONS.get(prose.section)) and (topic != "history" or unit_hash(prose.text) < 0.2):
            yield Labelled(id="", text=prose.text, label=TASKS["atlas_topic"].labels.index(topic))


def _field(facts: Facts) -> Iterator[Example]:
    for record in facts.records:
        for path, name in FIELDS.items():
            if text := plain(record.fields.get(path, "")):
                yield Labelled(id="", text=" ".join(text.split()[:40]), label=TASKS["atlas_field"].labels.index(name))


def _region(facts: Facts) -> Iterator[Example]:
    for record, prose in facts.prose():
        region = record.fields.get("Geography/Map references", "")
        if region in REGIONS and prose.section in (factbook.BACKGROUND, factbook.NOTE):
            yield Labelled(id="", text=prose.text, label=REGIONS.index(region))


def _dated(facts: Facts) -> Iterator[tuple[str, int]]:
    """Sentences that name one year, with the year hidden, and the year."""
    for _, prose in facts.prose():
        if len(years := _YEAR.findall(prose.text)) == 1:
            yield _YEAR.sub("that year", prose.text), int(years[0])


def _period(facts: Facts) -> Iterator[Example]:
    for text, year in _dated(facts):
        yield Labelled(id="", text=text, label=sum(year >= first for first in (1800, 1900, 1950, 2000)))


def _year(facts: Facts) -> Iterator[Example]:
    for text, year in _dated(facts):
        yield Scored(id="", text=text, score=float(max(year, 1700)))


def _entailment(facts: Facts) -> Iterator[Example]:
    """A passage and an answered question; the wrong answer is right for another record."""
    for question in facts.questions:
        premise, others = question.prose.text, _wrong(facts, question)
        right = unit_hash(f"entailment {question.text}") < 0.5
        if right or others:
            answer = question.answers[0] if right else _drawn(others, question.text)
            yield Labelled(id="", text=premise, text_b=f"{question.text} {answer}.", label=0 if right else 1)


def _answered(facts: Facts) -> Iterator[Example]:
    """A question and a sentence about its record, which answers it or is another of the same record's."""
    for question in facts.questions:
        shown = [p for p in dict.fromkeys(question.record.prose) if not any(a in p.text for a in question.answers)]
        right = unit_hash(f"answered {question.text}") < 0.5
        if right or shown:
            prose = question.prose if right else _drawn(shown, question.text)
            yield Labelled(id="", text=question.text, text_b=f"{prose.title}: {prose.text}", label=0 if right else 1)


def _same(facts: Facts) -> Iterator[Example]:
    """Two sentences of one section, about one record or about two."""
    sections: dict[str, list[tuple[Record, Prose]]] = defaultdict(list)
    for record, prose in facts.prose():
        if len(prose.text.split()) >= 8:
            sections[prose.section].append((record, prose))
    for rows in sections.values():
        for record, prose in rows:
            own = [p.text for p in record.prose if p.section == prose.section and p is not prose]
            same = unit_hash(f"same {prose.text}") < 0.5
            others = [_drawn(own, prose.text)] if same and own else _of_others(rows, record, prose.text)[: int(not same)]
            yield from (Labelled(id="", text=prose.text, text_b=other, label=int(same)) for other in others)


def _order(facts: Facts) -> Iterator[Example]:
    """Sentences as they were written, or with two neighbouring words in each other's place, three times."""
    for _, prose in facts.prose():
        words = prose.text.split()
        if 8 <= len(words) <= 30:
            right = unit_hash(f"order {prose.text}") < 0.5
            for k in range(0 if right else 3):
                at = int(unit_hash(f"{k} {prose.text}") * (len(words) - 1))
                words[at : at + 2] = words[at : at + 2][::-1]
            yield Labelled(id="", text=" ".join(words).lower(), label=int(right))


def _similarity(facts: Facts) -> Iterator[Example]:
    """A sentence and a copy of which a share of the words is another sentence's; 5 times the share that was kept."""
    texts = [prose.text for _, prose in facts.prose() if 8 <= len(prose.text.split()) <= 30]
    for text in texts:
        words, other = text.split(), _drawn(texts, f"other {text}").split()
        changed = int(unit_hash(f"similarity {text}") * (len(words) + 1))
        places = sorted(range(len(words)), key=lambda i: unit_hash(f"{i} {text}"))[:changed]
        copy = [other[i % len(other)] if i in places else word for i, word in enumerate(words)]
        yield Scored(id="", text=text, text_b=" ".join(copy), score=round(5 * (1 - changed / len(words)), 2))


def _choice(facts: Facts) -> Iterator[Example]:
    """A passage and a question, with the right answer among others of its kind."""
    for question in facts.questions:
        wrong = sorted(_wrong(facts, question), key=lambda answer: unit_hash(f"{answer} {question.text}"))[: CHOICES - 1]
        if len(wrong) == CHOICES - 1:
            yield _chosen(f"{question.prose.text} {question.text}", question.answers[0], wrong)


def _next(facts: Facts) -> Iterator[Example]:
    """A sentence, and which of four comes after it: the others are of the same section of other records."""
    sections: dict[str, list[tuple[Record, Prose]]] = defaultdict(list)
    for record, prose in facts.prose():
        sections[prose.section].append((record, prose))
    for rows in sections.values():
        for (record, first), (other, second) in pairwise(rows):
            wrong = _of_others(rows, record, first.text)[: CHOICES - 1]
            if record is other and len(wrong) == CHOICES - 1:
                yield _chosen(first.text, second.text, wrong)


def _of_others(rows: Sequence[tuple[Record, Prose]], record: Record, key: str) -> list[str]:
    """A few sentences of other records, by hash."""
    drawn = (_drawn(rows, f"{k} {key}") for k in range(3 * CHOICES))
    return list(dict.fromkeys(prose.text for other, prose in drawn if other is not record))


def _chosen(text: str, right: str, wrong: Sequence[str]) -> Choice:
    choices = sorted((right, *wrong), key=lambda choice: unit_hash(f"{choice}\n{text}"))
    return Choice(id="", text=text, choices=tuple(choices), label=choices.index(right))


def _span(facts: Facts) -> Iterator[Example]:
    for question in facts.questions:
        text, answer = question.prose.text, question.answers[0]
        if answer in text:
            yield Extract(id="", text=text, question=question.text, answers=(answer,), starts=(text.index(answer),))


def _names(facts: Facts) -> Iterator[Example]:
    """Names of countries and elements and years, found by the records' own names."""
    kinds = {"factbook": "country", "elements": "element"}
    names = {_words(name): kinds[family] for name, family in facts.named.items() if len(name) > 3}
    for _, prose in facts.prose():
        words = _words(prose.text)
        tags = ["O"] * len(words)
        for start in range(len(words)):
            for end in range(start + 1, min(start + 6, len(words)) + 1):
                kind = "year" if end == start + 1 and _YEAR.fullmatch(words[start]) else names.get(words[start:end])
                if kind and all(tag == "O" for tag in tags[start:end]):
                    tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
        if any(tag != "O" for tag in tags):
            yield Tagged(id="", tokens=words, tags=tuple(TASKS["atlas_names"].labels.index(tag) for tag in tags))


def _title(facts: Facts) -> Iterator[Example]:
    """What a sentence is about: the title of its passage, where it names the record."""
    for record, prose in facts.prose():
        if record.name in prose.text:
            yield Rewrite(id="", source=prose.text, target=prose.title, references=(prose.title,))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text))


def _wrong(facts: Facts, question: Question) -> list[str]:
    """Answers to other questions of the same kind that are not right here and do not stand in the passage."""
    others = {q.answers[0]: None for q in _of_kind(facts, question.kind) if q is not question}
    return [answer for answer in others if answer not in question.answers and answer not in question.prose.text]


def _of_kind(facts: Facts, kind: str) -> Iterator[Question]:
    yield from (question for question in facts.questions if question.kind == kind)


def _task(name: str, family: str, about: str, make: Callable[[Facts], Iterator[Any]], labels: Iterable[str] = ()) -> AtlasTask:
    return AtlasTask(name=f"atlas_{name}", family=family, about=about, make=make, labels=tuple(labels))


TASKS = {
    task.name: task
    for task in (
        _task("topic", "classification", "what a sentence is about: a flag, a capital, ...", _topic, TOPICS),
        _task("field", "classification", "which field of a country it is: climate, religions, ...", _field, FIELDS.values()),
        _task("region", "classification", "the part of the world that a sentence's country lies in", _region, REGIONS),
        _task("period", "classification", "when it was, from a sentence without its year", _period, PERIODS),
        _task("order", "classification", "whether the words stand in their order", _order, ("changed", "as written")),
        _task("entailment", "classification", "whether a passage says that this is the answer", _entailment, ENTAILMENT),
        _task("answered", "classification", "whether a sentence answers a question", _answered, ENTAILMENT),
        _task("same", "classification", "whether two sentences are about the same", _same, ("different", "same")),
        _task("year", "regression", "the year of a sentence that hides it", _year),
        _task("similarity", "regression", "how much of a sentence is in its copy, from 0 to 5", _similarity),
        _task("choice", "multiple_choice", "the answer that a passage gives, among four", _choice),
        _task("next", "multiple_choice", "the sentence that comes next, among four", _next),
        _task("span", "span", "the words of a passage that answer a question", _span),
        _task("names", "tagging", "countries, elements and years in a sentence", _names, NAME_TAGS),
        _task("title", "generation", "the title that a sentence stands under", _title),
    )
}  # fmt: skip
