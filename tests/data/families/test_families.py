"""Every family: its rows are recognised by their columns, read as its examples, and complained about in one line."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from raylab.data import local
from raylab.data.family import Family, families, family_of, fitting, known
from raylab.data.rows import Row
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.data.source import DataRequest, load
from raylab.data.table import Table
from raylab.data.task import SPLITS, TaskData
from raylab.errors import UserError
from raylab.training.objective import Objective

Write = Callable[[Path, Iterable[Row]], None]
TABLES = tuple(family for family in families() if issubclass(family, Table))
READING = {"passage": "It is me.", "question": "Who?", "answers": ["me"]}


def _task(folder: Path, rows: Mapping[str, Iterable[Row]], write: Write, **request: Any) -> TaskData:
    for split, those in rows.items():
        write(folder / f"{split}.jsonl", those)
    return load(DataRequest(dataset=str(folder), **request))


def _rows(split: str, n: int, **columns: Callable[[int], Any]) -> list[Row]:
    return [{name: value(i) for name, value in columns.items()} | {"id": f"{split}-{i}"} for i in range(n)]


def _three(**columns: Callable[[str, int], Any]) -> dict[str, list[Row]]:
    """Three splits of six rows; a column's value is made of split and number."""
    return {split: [{name: value(split, i) for name, value in columns.items()} for i in range(6)] for split in SPLITS}


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name())
def test_every_family_says_what_it_is(family: type[Family]) -> None:
    assert family.measures and all(HIGHER_IS_BETTER[name] == higher for name, higher in family.measures.items())
    declared = {name for cls in family.example.__mro__ for name in getattr(cls, "__dataclass_fields__", {})}
    assert family.fields and set(family.fields) <= declared
    assert family.__doc__ and family.columns()
    assert family_of(family.name()) is family


def test_every_family_is_learned_by_one_of_its_name() -> None:
    missing = set(Family.registry.names()) - set(Objective.registry.names())
    if missing:
        pytest.skip(f"not learned yet: {', '.join(sorted(missing))}")


@pytest.mark.parametrize(
    ("row", "family"),
    [
        ({"question": "Who?", "answers": ["me"]}, "question_answering"),
        ({"masked": "I am [MASK].", "obj": "me", "sub": "I"}, "question_answering"),
        ({"text": "Good.", "label": 1}, "classification"),
        ({"text": "Good.", "label": "good"}, "classification"),
        ({"title": "T", "text": "Good.", "label": True}, "classification"),
        ({"sentence": "Good.", "label": 1}, "classification"),
        ({"premise": "A.", "hypothesis": "B.", "label": 0}, "classification"),
        ({"question": "A?", "sentence": "B.", "label": "entailment"}, "classification"),
        ({"text_a": "A.", "text_b": "B.", "label": 0}, "classification"),
        ({"text_a": "A.", "text_b": "B.", "score": 3}, "regression"),
        ({"sentence1": "A.", "sentence2": "B.", "label": 3.8}, "regression"),
        ({"question": "Who?", "choices": ["me", "you"], "label": 0}, "multiple_choice"),
        ({"premise": "A.", "question": "cause", "choice1": "B.", "choice2": "C.", "label": 0}, "multiple_choice"),
        ({"passage": "It is me.", "question": "Who?", "answers": ["me"], "answer": "me", "answer_start": 6}, "span"),
        ({"context": "It is me.", "question": "Who?", "answers": {"text": ["me"], "answer_start": [6]}}, "span"),
        ({"tokens": ["It", "is"], "tags": ["O", "O"]}, "tagging"),
        ({"source": "Long.", "summary": "L."}, "generation"),
        ({"product": "C", "reactants": "D"}, "generation"),
    ],
)  # fmt: skip
def test_rows_are_recognised(row: Row, family: str) -> None:
    found = fitting(row)
    assert found is not None and found.name() == family


def test_rows_of_no_family_or_of_two() -> None:
    assert fitting({"words": "A."}) is None
    with pytest.raises(
        UserError, match=r"could be of the families classification and regression; say which in a file task\.json"
    ):
        fitting({"text": "A.", "label": 1, "score": 0.5})


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((2, 10), ("2", "10")),
        (("10", "2"), ("2", "10")),
        (("no", "yes"), ("no", "yes")),
        ((True, False), ("false", "true")),
        ((1.0, 0.0), ("0", "1")),
    ],
)
def test_classes_have_a_stable_order(values: tuple[Any, Any], labels: tuple[str, str], write: Write, tmp_path: Path) -> None:
    data = _task(tmp_path, _three(text=lambda s, i: f"{s} {i}", label=lambda _, i: values[i % 2]), write)
    assert (data.family, data.labels) == ("classification", labels)
    other = _task(tmp_path, _three(text=lambda s, i: f"{s} {i}", label=lambda _, i: values[1 - i % 2]), write)
    assert other.labels == labels and other.splits["train"][0].label != data.splits["train"][0].label


def test_a_known_dataset_has_its_own_order_of_classes(write: Write, tmp_path: Path) -> None:
    rows = _three(
        premise=lambda s, i: f"{s} {i}", hypothesis=lambda s, i: "B.", label=lambda _, i: ("not_entailment", "entailment")[i % 2]
    )
    assert _task(tmp_path / "rte", rows, write).labels == known()["rte"][1].labels == ("entailment", "not_entailment")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": lambda _, i: 0.5}, "line 1: label is 0.5; expected a class as text, integer, or true or false"),
        ({"label": lambda s, i: "odd" if s == "dev" else str(i % 2)}, "no train example has the class 'odd', which dev has"),
        ({"label": lambda _, i: "same"}, "has one class, 'same'; expected two at least"),
        ({"label": lambda _, i: -1}, "line 1: label is -1, no class"),
        ({"label": lambda _, i: ["a"]}, "line 1: label is ['a']; expected a class"),
        ({"text": lambda s, i: ""}, "line 1: text is empty; expected a text"),
        ({"text": lambda s, i: 7}, "line 1: text is 7; expected a text"),
    ],
)
def test_labels_that_do_not_fit(columns: dict[str, Any], said: str, write: Write, tmp_path: Path) -> None:
    rows = _three(**{"text": lambda s, i: f"{s} {i}", "label": lambda _, i: i % 2, **columns})
    (tmp_path / "task.json").write_text('{"family": "classification"}')
    with pytest.raises(UserError) as error:
        _task(tmp_path, rows, write)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_labels_that_are_no_classes(write: Write, tmp_path: Path) -> None:
    rows = {"all": [{"text": f"text {i}", "label": f"label {i}"} for i in range(300)]}
    with pytest.raises(UserError, match=r"no train example has the class|classes for .* train examples"):
        _task(tmp_path, rows, write)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "A.", "score": "high"}, "score is 'high'; expected a number. Classes go into `label`"),
        ({"question": "Q?", "choices": ["a", "b"], "label": 2}, "label is 2 for 2 choices; expected the place of the right one"),
        ({"question": "Q?", "choices": ["a"], "label": 0}, "there is one choice, 'a'; expected two at least"),
        ({**READING, "answer_start": 3}, "the text has 'is' at answer_start 3"),
        ({**READING, "answer_start": "6"}, "answer_start is '6'; expected the number"),
        ({"tokens": ["It", "is"], "tags": ["O"]}, "tags is ['O']; expected a list with one tag for each of 2 tokens"),
        ({"source": "A.", "target": " "}, "target is empty; expected a text"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_their_family(row: Row, said: str, write: Write, tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [row])
    with pytest.raises(UserError) as error:
        local.read_examples(tmp_path, {})
    assert "train.jsonl, line 1: " + said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("label", "right"), [(1, "b"), ("1", "b"), ("B", "b"), ("b", "b"), (1.0, "b")]
)  # fmt: skip
def test_the_right_choice_is_named_in_any_way(label: Any, right: str, write: Write, tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [{"question": "Q?", "choices": ["a", "b"], "label": label}])
    (choice,) = local.read_examples(tmp_path, {})[1].splits["train"]
    assert choice.choices[choice.label] == right


def test_spans_are_where_they_are_said_to_be(write: Write, tmp_path: Path) -> None:
    write(
        tmp_path / "train.jsonl",
        [{"context": " me and me", "question": "Who?", "answers": {"text": ["me", "and"], "answer_start": [8, 4]}}],
    )
    (example,) = local.read_examples(tmp_path, {})[1].splits["train"]
    assert (example.text, example.answers, example.starts) == (" me and me", ("me", "and"), (8, 4))


def test_questions_about_one_passage_share_a_split(write: Write, tmp_path: Path) -> None:
    rows = [
        {"passage": f"It is me, {i}.", "question": f"Who is it, {k}?", "answers": ["me"], "answer_start": 6}
        for i in range(60) for k in range(3)
    ]  # fmt: skip
    data = _task(tmp_path, {"all": rows}, write)
    texts = {split: {e.text for e in data.splits[split]} for split in SPLITS}
    assert not texts["train"] & texts["dev"] and not texts["train"] & texts["test"]
    assert sum(map(len, data.splits.values())) == 180


def test_the_own_text_is_of_train_and_has_no_labels(write: Write, tmp_path: Path) -> None:
    rows = _three(text=lambda s, i: f"{s} text {i}", label=lambda _, i: f"class{i % 2}")
    data = _task(tmp_path / "mine", rows, write)
    assert data.corpus_name == "mine's own text"
    assert [p.text for p in data.corpus] == [f"train text {i}" for i in range(6)]


def test_another_task_lends_its_text_without_labels(write: Write, tmp_path: Path) -> None:
    for split, rows in _three(
        premise=lambda s, i: f"{s} premise {i}", hypothesis=lambda s, i: "so", label=lambda _, i: i % 2
    ).items():
        write(tmp_path / "other" / f"{split}.jsonl", rows)
    rows = _three(text=lambda s, i: f"{s} text {i}", label=lambda _, i: i % 2)
    data = _task(tmp_path / "mine", rows, write, data_dir=tmp_path, corpus="other")
    assert data.corpus_name == "other's own text" and data.corpus[0].text == "train premise 0 so" and len(data.corpus) == 6


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("label", "--text-column label is what the classification rows of"),
        ("txt", "Did you mean 'text'?"),
    ],
)
def test_labels_are_not_pretrained_on(column: str, said: str, write: Write, tmp_path: Path) -> None:
    rows = _three(text=lambda s, i: f"{s} text {i}", label=lambda _, i: f"class{i % 2}")
    with pytest.raises(UserError) as error:
        _task(tmp_path / "mine", rows, write, corpus=str(tmp_path / "mine"), text_column=column)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_text_column_of_a_corpus(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "texts" / "all.jsonl", [{"body": "One."}, {"body": "Two."}])
    rows = _three(text=lambda s, i: f"{s} text {i}", label=lambda _, i: i % 2)
    data = _task(tmp_path / "mine", rows, write, corpus=str(tmp_path / "texts"), text_column="body")
    assert [p.text for p in data.corpus] == ["One.", "Two."]


def test_a_users_own_columns(write: Write, tmp_path: Path) -> None:
    rows = {split: _rows(split, 6, head=lambda i: f"head {i}", review=lambda i: "good" if i % 2 else "bad", stars=lambda i: i % 2)
            for split in SPLITS}  # fmt: skip
    (tmp_path / "mine").mkdir()
    said = (
        '{"family": "classification", "columns": {"text": ["head", "review", "id"], "label": "stars"}, "labels": ["bad", "good"]}'
    )
    (tmp_path / "mine" / "task.json").write_text(said)
    data = _task(tmp_path / "mine", rows, write)
    assert data.labels == ("bad", "good") and data.splits["train"][1].text == "head 1 good train-1"
    assert local.tasks(tmp_path) == ("mine",)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("{", "task.json is not JSON"),
        ('{"famly": "span"}', "Did you mean 'family'?"),
        ('{"family": "clasification"}', "Did you mean 'classification'?"),
        ('{"columns": {"txt": "review"}, "family": "classification"}', "Did you mean 'text'?"),
        ('{"columns": {"text": "reviw", "label": "label"}, "family": "classification"}', "'reviw', which the rows do not have"),
        ('{"columns": ["text"]}', "expected an object whose values are names"),
    ],
)
def test_what_a_task_json_says_wrong(said: str, complaint: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(said)
    with pytest.raises(UserError) as error:
        _task(tmp_path, _three(text=lambda s, i: f"{s} {i}", label=lambda _, i: i % 2), write)
    assert complaint in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_tasks_each(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "few" / "rte.jsonl", [{"premise": f"A {i}.", "hypothesis": "B.", "label": i % 2} for i in range(90)])
    write(tmp_path / "few" / "copa.jsonl", [{"premise": "A.", "question": "cause", "choice1": "B.", "choice2": "C.", "label": 0}])
    assert local.tasks(tmp_path) == ("few/copa", "few/rte")
    data = load(DataRequest(dataset="few/rte", data_dir=tmp_path))
    assert data.name == "rte" and sum(map(len, data.splits.values())) == 90
    with pytest.raises(UserError, match=r"holds several tasks, one a file: copa.jsonl, rte.jsonl. Name one of them, as few/copa"):
        load(DataRequest(dataset="few", data_dir=tmp_path))
