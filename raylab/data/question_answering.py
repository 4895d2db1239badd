"""Question answering: the datasets known by name, one entry each, and how a row becomes an Example.

raylab's own layout of a row, in any format of `raylab.data.rows`:

    question       text
    answers        list of texts, every accepted alias; and/or
    answer         text, the canonical answer
    id             optional text
    passage        optional text that holds the answer, with title; or evidence, a list of {title, text}
    answer_start   optional: where in `passage` the canonical answer begins, in characters

The layouts of the official TriviaQA file and of the Hub's copies are recognised by their fields.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raylab.data.hub import HubTable
from raylab.data.invented import facts
from raylab.data.rows import Row
from raylab.data.task import SPLITS, Example, Passage
from raylab.errors import UserError
from raylab.recipe import digest


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
        """Whether a row is laid out like this: the question is text, the answers are a list."""
        return isinstance(_at(row, self.question), str) and isinstance(_at(row, self.answers), list)


PLAIN = Columns()
TRIVIAQA = Columns(id="question_id", answers="answer.aliases", answer="answer.value")
TRIVIAQA_OFFICIAL = Columns(question="Question", id="QuestionId", answers="Answer.Aliases", answer="Answer.Value")
NQ_OPEN = Columns(answers="answer", answer="")
SQUAD = Columns(answers="answers.text", answer="", passage="context", answer_start="")
_CARRIERS = ("passage", "context", "evidence")  # of a question's row; a corpus has `text`
_LAYOUTS = (PLAIN, TRIVIAQA, TRIVIAQA_OFFICIAL, NQ_OPEN, SQUAD)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixture:
    """A dataset in small, invented: rows by split in the dataset's own columns, and passages that hold the answers."""

    rows: Mapping[str, tuple[Row, ...]]
    passages: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """A question answering dataset known by name.

    splits: the Hub's split for each of raylab's; a missing dev is cut out of train. corpus: the passages read where
    nobody names any. version: raised when what the name stands for changes. source: the paper.
    """

    name: str
    hub: HubTable
    splits: Mapping[str, str]
    columns: Columns
    licence: str
    source: str
    corpus: str = "wikipedia"
    version: int = 1
    metrics: tuple[str, ...] = ("bits_per_answer", "exact_match", "f1")

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
                _put(row, path, value)
        return row


_ENTRIES = (
    Dataset(
        name="triviaqa",
        hub=HubTable(id="mandarjoshi/trivia_qa", config="unfiltered.nocontext", columns=("question", "question_id", "answer")),
        splits={"train": "train", "test": "validation"},  # the Hub's test split has no answers
        columns=TRIVIAQA,
        licence="Apache-2.0, its authors say",
        source="Joshi et al. 2017, arXiv 1705.03551",
    ),
    Dataset(
        name="nq_open",
        hub=HubTable(id="google-research-datasets/nq_open", columns=("question", "answer")),
        splits={"train": "train", "test": "validation"},
        columns=NQ_OPEN,
        licence="CC BY-SA 3.0",
        source="Lee et al. 2019, arXiv 1906.00300",
    ),
    Dataset(
        name="webquestions",
        hub=HubTable(id="stanfordnlp/web_questions", columns=("question", "answers")),
        splits={"train": "train", "test": "test"},
        columns=PLAIN,
        licence="CC BY 4.0",
        source="Berant et al. 2013, Semantic Parsing on Freebase from Question-Answer Pairs",
    ),
)
DATASETS = {dataset.name: dataset for dataset in _ENTRIES}


def read_example(row: Row, where: str, name: str) -> tuple[Example, tuple[Passage, ...]]:
    """The question of a row and the passages it carries. `where` begins every complaint; `name` stands in for a missing id.

    Raises UserError if a field is missing or empty or not in the form the module's docstring declares.
    """
    columns = next((layout for layout in _LAYOUTS if layout.fits(row)), PLAIN)
    answer, answers = _answers(row, columns, where)
    carried = any(row.get(field) is not None for field in _CARRIERS)
    passages = read_passages(row, where) if carried else ()
    _check_start(row, columns, answer, where)
    example = Example(
        id=str(_at(row, columns.id) or name),
        question=_filled(row, columns.question, where),
        answer=answer,
        answers=answers,
        passage=passages[0].id if passages else "",
    )
    return example, passages


def is_question(row: Row, where: str) -> bool:
    """Whether a row can be read as a question with its answers."""
    try:
        read_example(row, where, "")
    except UserError:
        return False
    return True


def read_passages(row: Row, where: str) -> tuple[Passage, ...]:
    """The passages of a corpus's row: `text` with `title`, or those that a question's row carries.

    Raises UserError if there are none.
    """
    field = next((name for name in ("text", *_CARRIERS) if row.get(name) is not None), None)
    if field is None:
        got = ", ".join(row) or "nothing"
        raise UserError(f"{where} has no `text`; got {got}. Expected a passage as `text`, with `title` if it has one.")
    return tuple(_passages(row, field, where))


def _passage(title: str, text: str) -> Passage:
    """A passage whose id is made of its content, so that the same passage read twice is the same."""
    return Passage(id=digest([title, text]), title=title, text=text)


def _answers(row: Row, columns: Columns, where: str) -> tuple[str, tuple[str, ...]]:
    """The canonical answer (`answer`, else the first of `answers`) and all of them, each once, the canonical one first."""
    listed, single = _at(row, columns.answers), _at(row, columns.answer)
    if listed is None and single is None:
        raise _missing(row, f"neither `{columns.answers}` nor `{columns.answer}`", where)
    if single is not None and not _is_text(single):
        raise UserError(f"{where}: {columns.answer} is {single!r}; expected a text that is not empty. Several go into `answers`.")
    if listed is not None and not (isinstance(listed, list) and all(map(_is_text, listed)) and (listed or single)):
        raise UserError(
            f"{where}: {columns.answers} is {_short(listed)}; expected a list of texts, none empty. "
            "A single text goes into `answer`."
        )
    every = tuple(dict.fromkeys(text.strip() for text in ([single] if single else []) + (listed or [])))
    return every[0], every


def _passages(row: Row, field: str, where: str) -> Iterator[Passage]:
    if field != "evidence":
        yield _passage(str(row.get("title") or ""), _filled(row, field, where))
        return
    evidence = row[field]
    if not (isinstance(evidence, list) and all(isinstance(e, Mapping) and _is_text(e.get("text")) for e in evidence)):
        raise UserError(f"{where}: evidence is {_short(evidence)}; expected a list of objects with title and text.")
    yield from (_passage(str(e.get("title") or ""), e["text"].strip()) for e in evidence)


def _check_start(row: Row, columns: Columns, answer: str, where: str) -> None:
    start, text = _at(row, columns.answer_start), _at(row, columns.passage)
    if start is None:
        return
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise UserError(f"{where}: answer_start is {start!r}; expected the number of characters before the answer in `passage`.")
    if not isinstance(text, str) or not text[start:].startswith(answer):
        found = _short(text[start : start + len(answer)]) if isinstance(text, str) else "no passage"
        raise UserError(f"{where}: the passage has {found} at answer_start {start}; expected the answer {answer!r}.")


def _filled(row: Row, path: str, where: str) -> str:
    value = _at(row, path)
    if value is None:
        raise _missing(row, f"no `{path}`", where)
    if not _is_text(value):
        raise UserError(f"{where}: {path} is {_short(value)}; expected a text that is not empty.")
    return str(value).strip()


def _missing(row: Row, what: str, where: str) -> UserError:
    got = ", ".join(row) or "nothing"
    return UserError(f"{where} has {what}; got {got}. Expected `question` and `answers` (a list of texts) or `answer`.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _at(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def _put(row: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        row = row.setdefault(name, {})
    row[last] = value
