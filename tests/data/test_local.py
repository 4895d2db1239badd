"""Folders of one's own: which file is which split, and what is said when something is wrong."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from raylab.data import local
from raylab.data.families.question_answering import DATASETS
from raylab.data.rows import Row
from raylab.errors import UserError

Write = Callable[[Path, Iterable[Row]], None]


def _ask(*names: str) -> list[Row]:
    return [{"id": name, "question": f"Who is {name}?", "answers": [name]} for name in names]


def _ids(path: Path, **files: str) -> dict[str, list[str]]:
    return {split: [e.id for e in examples] for split, examples in local.read_examples(path, files)[1].splits.items()}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["train.jsonl", "dev.jsonl", "test.jsonl"], {"train": "a", "dev": "b", "test": "c"}),
        (["trainmodel.jsonl", "val.jsonl", "devtest.jsonl"], {"train": "a", "dev": "b", "test": "c"}),
        (["train_10k.jsonl", "validation.jsonl", "test-v2.jsonl"], {"train": "a", "dev": "b", "test": "c"}),
        (["train.jsonl", "valid.jsonl", "dev_ood.jsonl"], {"train": "a", "dev": "b"}),  # the exact name goes first
        (["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"], {"train": "ab"}),
        (["dev_dpr.jsonl"], {"dev": "a"}),
        (["train_dpr_dev.jsonl"], {"train": "a"}),  # the first word counts
        (["web-train.jsonl", "web-dev.jsonl", "contest.jsonl"], {"train": "a", "dev": "b"}),
        (["all.jsonl"], {"train": "a"}),
        (["one.jsonl", "two.jsonl"], {"train": "ab"}),
        (["README.md", ".hidden.jsonl", "all.jsonl"], {"train": "c"}),
    ],
)
def test_files_are_recognised_by_name(files: list[str], expected: dict[str, str], write: Write, tmp_path: Path) -> None:
    for file, name in zip(files, "abc", strict=False):
        write(tmp_path / file, _ask(name))
    assert _ids(tmp_path) == {split: list(names) for split, names in expected.items()}


def test_files_that_are_not_read_are_noted(write: Write, tmp_path: Path) -> None:
    for name in ("train", "dev", "dev_ood", "extra"):
        write(tmp_path / f"{name}.jsonl", _ask(name))
    assert "dev_ood.jsonl, extra.jsonl" in local.read_examples(tmp_path, {})[1].notes[0]


def test_splits_can_be_named(write: Write, tmp_path: Path) -> None:
    for name in ("train", "mine", "yours"):
        write(tmp_path / f"{name}.jsonl", _ask(name))
    assert _ids(tmp_path, train="mine.jsonl", test="yours.jsonl") == {"train": ["mine"], "test": ["yours"]}
    with pytest.raises(UserError, match=r"train=gone.jsonl: there is no such file .* mine.jsonl, train.jsonl, yours.jsonl"):
        _ids(tmp_path, train="gone.jsonl")
    with pytest.raises(UserError, match="Did you mean 'train'"):
        _ids(tmp_path, trian="mine.jsonl")


def test_a_single_file_is_a_dataset(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "quiz.v1.jsonl", _ask("a", "b"))
    assert local.name_of(tmp_path / "quiz.v1.jsonl") == "quiz"
    assert _ids(tmp_path / "quiz.v1.jsonl") == {"train": ["a", "b"]}


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_no_readable_row_is_the_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(content)
    with pytest.raises(UserError, match="no readable row"):
        local.read_examples(tmp_path, {})
    with pytest.raises(UserError, match="no readable row"):
        local.read_corpus(tmp_path)


def test_no_readable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")
    with pytest.raises(UserError, match="holds no file raylab can read"):
        local.read_examples(tmp_path, {})
    with pytest.raises(UserError, match="no readable row"):
        local.read_corpus(tmp_path)


def test_a_broken_row_names_file_and_line(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [*_ask("a"), {"question": "Who?", "answers": "me"}])
    with pytest.raises(UserError, match=r"train\.jsonl, line 2: answers is 'me'"):
        local.read_examples(tmp_path, {})
    write(tmp_path / "corpus" / "all.jsonl", [{"text": "A"}, {"title": "B"}])
    with pytest.raises(UserError, match=r"all\.jsonl, line 2 has no `text`; got title"):
        local.read_corpus(tmp_path / "corpus")


def test_passages_are_read_once(write: Write, tmp_path: Path) -> None:
    rows = [{**row, "title": "T", "passage": "a and b"} for row in _ask("a", "b")]
    write(tmp_path / "all.jsonl", rows)
    _, questions = local.read_examples(tmp_path, {})
    (passage,) = questions.passages
    assert {e.passage for e in questions.splits["train"]} == {passage.id}
    assert local.read_corpus(tmp_path) == (passage,)


def test_kinds(data_dir: Path, write: Write) -> None:
    write(data_dir / "reviews" / "all.jsonl", [{"stars": 1, "words": 2}])
    (data_dir / "broken").mkdir()
    (data_dir / "broken" / "train.jsonl").write_text("{")
    assert local.tasks(data_dir) == tuple(sorted(DATASETS))
    assert local.corpora(data_dir) == ("towns",)
    assert {name for name, kind in local.kinds(data_dir).items() if kind == local.OTHER} == {"broken", "reviews"}


def test_find(data_dir: Path) -> None:
    assert local.find("triviaqa", data_dir) == data_dir / "triviaqa"
    assert local.find("squad", data_dir) is None
    assert local.find(str(data_dir / "nq_open"), None) == data_dir / "nq_open"
    with pytest.raises(UserError, match="there is nothing at"):
        local.find(str(data_dir / "gone"), None)
    with pytest.raises(UserError, match=r"--data-dir .* is no folder"):
        local.find("triviaqa", data_dir / "gone")
