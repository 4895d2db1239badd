"""Question answering: the datasets known by name, one entry each, and how a row becomes a Question.

raylab's own layout of a row, in any format of `raylab.data.rows`:

    question       text
    answers        list of texts, every accepted alias; and/or
    answer         text, the canonical answer
    id             optional text
    passage        optional text that holds the answer, with title; or evidence, a list of {title, text}
    answer_start   optional: where in `passage` the canonical answer begins, in characters

The layouts of the official TriviaQA file and of the Hub's copies are recognised by their fields.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from raylab.data.answerable import answerable, occurrences, with_canonical_answer
from raylab.data.declared import Declared
from raylab.data.family import Dataset, Examples, Family, Named, Splits
from raylab.data.fields import at, filled, is_text, missing, put, short
from raylab.data.hub import HubTable
from raylab.data.invented import facts
from raylab.data.passages import CARRIERS, read_passages
from raylab.data.rows import Row
from raylab.data.scoring import OF_QUESTIONS
from raylab.data.task import SPLITS, Example, Passage, Question
from raylab.errors import UserError

EXPECTED = "`question` and `answers` (a list of texts) or `answer`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Where a layout keeps its fields: dotted paths into a row ("answer.aliases"); "" where it has no such field."""

    question: str = "question"
    answers: str = "answers"
    answer: str = "answer"
    id: str = "id"
    passage: str = "passage"
    answer_start: str = "answer_start"

    def fits(self, row: Row) -> bool:
        """Whether a row is laid out like this: the question is text, and so is the answer, or a list of them."""
        answered = isinstance(at(row, self.answers), list) if self.answers else isinstance(at(row, self.answer), str)
        return isinstance(at(row, self.question), str) and answered


PLAIN = Columns()
TRIVIAQA = Columns(id="question_id", answers="answer.aliases", answer="answer.value")
TRIVIAQA_OFFICIAL = Columns(question="Question", id="QuestionId", answers="Answer.Aliases", answer="Answer.Value")
NQ_OPEN = Columns(answers="answer", answer="")
SQUAD = Columns(answers="answers.text", answer="", passage="context", answer_start="")
CLOZE = Columns(question="masked", answers="", answer="obj")  # LAMA's: a sentence with [MASK] for the answer
_LAYOUTS = (PLAIN, TRIVIAQA, TRIVIAQA_OFFICIAL, NQ_OPEN, SQUAD, CLOZE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixture:
    """A dataset in small, invented: rows by split in the dataset's own columns, and passages that hold the answers."""

    rows: Mapping[str, tuple[Row, ...]]
    passages: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionSet(Dataset):
    """A question answering dataset known by name, and how its columns are named."""

    columns: Columns
    corpus: str = "wikipedia"

    def invented(self) -> tuple[Row, ...]:
        return self.fixture().rows["train"]

    def fixture(self) -> Fixture:
        """36 invented questions over 12 invented passages, laid out like the Hub's rows."""
        by_split: dict[str, list[Row]] = {split: [] for split in SPLITS}
        for number, fact in enumerate(facts()):
            by_split[fact.split].append(self._row(number, fact.question, fact.answer, fact.aliases))
        passages = {fact.title: {"title": fact.title, "text": fact.text} for fact in facts()}
        return Fixture(rows={split: tuple(rows) for split, rows in by_split.items()}, passages=tuple(passages.values()))

    def _row(self, number: int, question: str, answer: str, aliases: Sequence[str]) -> Row:
        row: dict[str, Any] = {}
        fields = {"id": f"{self.name}-{number}", "question": question, "answer": answer, "answers": [answer, *aliases]}
        for field, value in fields.items():
            path = getattr(self.columns, field)
            if path.split(".")[0] in self.hub.columns:
                put(row, path, value)
        return row


_ENTRIES = (
    QuestionSet(
        name="triviaqa",
        hub=HubTable(id="mandarjoshi/trivia_qa", config="unfiltered.nocontext", columns=("question", "question_id", "answer")),
        splits={"train": "train", "test": "validation"},  # the Hub's test split has no answers
        columns=TRIVIAQA,
        licence="Apache-2.0, its authors say",
        source="Joshi et al. 2017, arXiv 1705.03551",
    ),
    QuestionSet(
        name="nq_open",
        hub=HubTable(id="google-research-datasets/nq_open", columns=("question", "answer")),
        splits={"train": "train", "test": "validation"},
        columns=NQ_OPEN,
        licence="CC BY-SA 3.0",
        source="Lee et al. 2019, arXiv 1906.00300",
    ),
    QuestionSet(
        name="webquestions",
        hub=HubTable(id="stanfordnlp/web_questions", columns=("question", "answers")),
        splits={"train": "train", "test": "test"},
        columns=PLAIN,
        licence="CC BY 4.0",
        source="Berant et al. 2013, Semantic Parsing on Freebase from Question-Answer Pairs",
    ),
)
DATASETS = {dataset.name: dataset for dataset in _ENTRIES}


class QuestionAnswering(Family):
    """Closed-book question answering: what a model answers from its weights alone."""

    __slots__ = ()
    example: ClassVar[type[Example]] = Question
    noun: ClassVar[str] = "question"
    left_out: ClassVar[str] = "and unanswerable "
    measures: ClassVar[Mapping[str, bool]] = OF_QUESTIONS
    fields: ClassVar[tuple[str, ...]] = ("question", "answer")
    datasets: ClassVar[Mapping[str, QuestionSet]] = DATASETS

    @classmethod
    def fits(cls, row: Row) -> int:
        try:
            read_example(row, "", "")
        except UserError:
            return 0
        return 2

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(Columns))

    @classmethod
    def targets(cls, row: Row) -> tuple[str, ...]:
        layout = _layout(row)
        return tuple(column.split(".")[0] for column in (layout.answers, layout.answer, layout.answer_start) if column)

    @classmethod
    def read(cls, rows: Mapping[str, Iterable[Named]], dataset: Any = None) -> Examples:
        passages: dict[str, Passage] = {}
        splits: dict[str, tuple[Question, ...]] = {}
        columns = (
            Columns(**{n: str(c) for n, c in dataset.columns.items()})
            if isinstance(dataset, Declared) and dataset.columns
            else None
        )
        for split, named in rows.items():
            examples = []
            for name, where, row in named:
                example, own = read_example(row, where, name, columns)
                passages.update((p.id, p) for p in own)
                examples.append(example)
            splits[split] = tuple(examples)
        return Examples(splits=splits, passages=tuple(passages.values()))

    @classmethod
    def ground(cls, splits: Splits, corpus: tuple[Passage, ...], corpus_name: str, only: bool) -> tuple[Splits, tuple[str, ...]]:
        """Questions with the canonical answer the corpus gives them; with `only`, those alone of which it has an alias."""
        counts = occurrences((e for split in SPLITS for e in splits[split]), (p.text for p in corpus))
        there = {p.id for p in corpus}
        every = {split: tuple(_within(with_canonical_answer(e, counts), there) for e in splits[split]) for split in SPLITS}
        kept = {split: tuple(e for e in every[split] if not only or answerable(e, counts)) for split in SPLITS}
        moved = sum(e.answer != now.answer for split in SPLITS for e, now in zip(splits[split], every[split], strict=True))
        return kept, _grounding_notes(_total(splits), _total(kept), moved, corpus_name, only)


def read_example(row: Row, where: str, name: str, columns: Columns | None = None) -> tuple[Question, tuple[Passage, ...]]:
    """The question of a row and the passages it carries. `where` begins every complaint; `name` stands in for a missing id.
    columns: of the row, where it does not say so itself.

    Raises UserError if a field is missing or empty or not in the form the module's docstring declares.
    """
    columns = columns or _layout(row)
    answer, answers = _answers(row, columns, where)
    carried = any(row.get(field) is not None for field in CARRIERS)
    passages = read_passages(row, where) if carried else ()
    _check_start(row, columns, answer, where)
    example = Question(
        id=str(at(row, columns.id) or name),
        question=filled(row, columns.question, where, EXPECTED),
        answer=answer,
        answers=answers,
        passage=passages[0].id if passages else "",
    )
    return example, passages


def _layout(row: Row) -> Columns:
    return next((layout for layout in _LAYOUTS if layout.fits(row)), PLAIN)


def _answers(row: Row, columns: Columns, where: str) -> tuple[str, tuple[str, ...]]:
    """The canonical answer (`answer`, else the first of `answers`) and all of them, each once, the canonical one first."""
    listed, single = at(row, columns.answers), at(row, columns.answer)
    if listed is None and single is None:
        raise missing(row, f"neither `{columns.answers}` nor `{columns.answer}`", where, EXPECTED)
    if single is not None and not is_text(single):
        raise UserError(f"{where}: {columns.answer} is {single!r}; expected a text that is not empty. Several go into `answers`.")
    if listed is not None and not (isinstance(listed, list) and all(map(is_text, listed)) and (listed or single)):
        raise UserError(
            f"{where}: {columns.answers} is {short(listed)}; expected a list of texts, none empty. "
            "A single text goes into `answer`."
        )
    every = tuple(dict.fromkeys(text.strip() for text in ([single] if single else []) + (listed or [])))
    return every[0], every


def _check_start(row: Row, columns: Columns, answer: str, where: str) -> None:
    start, text = at(row, columns.answer_start), at(row, columns.passage)
    if start is None:
        return
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise UserError(f"{where}: answer_start is {start!r}; expected the number of characters before the answer in `passage`.")
    if not isinstance(text, str) or not text[start:].startswith(answer):
        found = short(text[start : start + len(answer)]) if isinstance(text, str) else "no passage"
        raise UserError(f"{where}: the passage has {found} at answer_start {start}; expected the answer {answer!r}.")


def _total(given: Splits) -> int:
    return sum(len(examples) for examples in given.values())


def _within(example: Question, there: set[str]) -> Question:
    return example if not example.passage or example.passage in there else replace(example, passage="", rendered=False)


def _grounding_notes(asked: int, kept: int, moved: int, corpus_name: str, only: bool) -> tuple[str, ...]:
    if not kept:
        raise UserError(
            f"none of the {asked:,} questions has an answer in the corpus {corpus_name}; nothing could be learned from it. "
            "Give another --corpus, or keep them all with --no-answerable-only."
        )
    count = f"{kept:,} of {asked:,} questions are answerable: an accepted answer stands in {corpus_name} as whole words"
    canonical = f"{moved:,} canonical answers are the alias that stands most often in {corpus_name}, as the given one does not"
    return ((count,) if only else ()) + ((canonical,) if moved else ())
