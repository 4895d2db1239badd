"""What is mapped is what was written, however it is asked for."""

from pathlib import Path

import pytest

from raylab.data.prepared import Preparation, prepare
from raylab.data.stored import CHUNK, StoredExamples, StoredIds
from raylab.data.task import SPLITS, Choice, Labelled
from tests import tiny
from tests.families import invented

EXAMPLES = [Labelled(id=str(i), text=f"Ünïcode\nline {i}", label=i % 2) for i in range(7)]


def test_examples_come_back(tmp_path: Path) -> None:
    StoredExamples.write(EXAMPLES, tmp_path / "train.jsonl")
    stored = StoredExamples(tmp_path / "train.jsonl", Labelled)
    assert stored == EXAMPLES and list(stored) == EXAMPLES and stored != EXAMPLES[:-1]
    assert stored[-1] == EXAMPLES[-1] and stored[1:6:2] == tuple(EXAMPLES[1:6:2]) and stored[:100] == tuple(EXAMPLES)
    with pytest.raises(IndexError):
        stored[7]


def test_no_examples_and_lists_as_tuples(tmp_path: Path) -> None:
    choice = Choice(id="1", text="", choices=("a", "b"), label=1)
    for name, examples in (("none", []), ("one", [choice])):
        StoredExamples.write(examples, tmp_path / f"{name}.jsonl")
        assert list(StoredExamples(tmp_path / f"{name}.jsonl", Choice)) == examples


def test_ids_are_those_of_each_text(tmp_path: Path) -> None:
    def ids_of(texts: list[str]) -> list[list[int]]:
        return [[70_000 + ord(letter) for letter in text] for text in texts]

    texts = [("ab", "", "c"), (), ("d",)] * CHUNK
    ids = StoredIds.of(tmp_path / "ids", texts, ids_of)
    assert len(ids) == 3 * CHUNK and ids[:3] == [[70_097, 70_098, 70_099], [], [70_100]] and ids[-1] == [70_100]
    assert ids.parts(0) == [[70_097, 70_098], [], [70_099]] and ids.parts(1) == []
    assert ids.lengths[:4].tolist() == [3, 0, 1, 3]
    assert StoredIds.of(tmp_path / "ids", [], ids_of)[2] == [70_100]  # found, not made again
    assert len(StoredIds.of(tmp_path / "none", [], ids_of)) == 0


def test_a_prepared_task_maps_its_ids(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path)
    for split in SPLITS:
        for field in ("question", "answer"):
            texts = [getattr(example, field) for example in data.splits[split]]
            assert list(data.ids(split, field)) == data.tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert data.ids("train", "question") is data.ids("train", "question")


def test_training_finds_its_ids_there(tmp_path: Path) -> None:
    """A lane tokenises nothing, of the task or of one that is learned before it; where answers are places, those are there."""
    of = {"span": invented.task("span"), "tagging": invented.task("tagging")}
    data = prepare(of["span"], "span", Preparation(vocab_size=400), tmp_path, sources={"tagging": of["tagging"]})
    made = {str(path.relative_to(data.folder)) for path in data.folder.rglob("train-*") if path.is_dir()}
    assert made == {"ids/train-text", "ids/train-question", "offsets/train-text", "sources/invented_tagging/ids/train-tokens"}
    for example, ids, places in zip(data.splits["train"], data.ids("train", "text"), data.offsets("train", "text"), strict=True):
        parts = [example.text[begin:end] for begin, end in zip(places[::2], places[1::2], strict=True)]
        assert len(parts) == len(ids) and "".join(parts) == example.text.replace(" ", "")
