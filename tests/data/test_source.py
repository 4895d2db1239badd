"""Which source is taken, what it is called, and what is said of a request that cannot be met."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest
from huggingface_hub import constants

from raylab.data import atlas
from raylab.data.corpora import CORPORA
from raylab.data.families.question_answering import DATASETS
from raylab.data.rows import Row
from raylab.data.source import DataRequest, fingerprint, load
from raylab.data.task import SPLITS, Passage, Question, TaskData
from raylab.errors import UserError

Write = Callable[[Path, Iterable[Row]], None]


@pytest.fixture(autouse=True)
def _stub_atlas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small atlas in place of the real one, and a Hub cache that is empty."""
    monkeypatch.setattr(atlas, "load", _atlas)
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))


def _atlas() -> TaskData:
    corpus = tuple(Passage(id=str(i), title="", text=f"The capital of land {i} is Town{i}.") for i in range(30))
    examples = tuple(
        Question(id=str(i), question=f"Capital of land {i}?", answer=f"Town{i}", answers=(f"Town{i}",), passage=str(i))
        for i in range(30)
    )
    splits = {"train": examples[:20], "dev": examples[20:25], "test": examples[25:]}
    return TaskData(name="atlas", source="builtin:atlas", version=3, splits=splits, corpus=corpus, corpus_name="atlas")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that holds every dataset of the table and Wikipedia, invented, as parquet with the Hub's columns."""
    folder = tmp_path / "hub"

    def put(table: Any, split: str, rows: Iterable[Row]) -> None:
        path = folder / table.id / f"{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)

    for dataset in DATASETS.values():
        rows = dataset.fixture().rows
        put(dataset.hub, dataset.splits["train"], [*rows["train"], *rows["dev"]])
        put(dataset.hub, dataset.splits["test"], rows["test"])
    put(CORPORA["wikipedia"].hub, "train", [*DATASETS["triviaqa"].fixture().passages, {"title": "", "text": " "}])

    def load_dataset(path: str, name: str | None = None, *, split: str, streaming: bool) -> Any:
        return real("parquet", data_files={split: str(folder / path / f"{split}.parquet")}, split=split, streaming=streaming)

    real = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, repo_id, timeout: None)


def _sizes(data: TaskData) -> dict[str, int]:
    return {split: len(data.splits[split]) for split in SPLITS}


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_loads_from_local_files(name: str, data_dir: Path) -> None:
    data = load(DataRequest(dataset=name, data_dir=data_dir, corpus="towns"))
    assert (data.name, data.source, data.corpus_name) == (name, f"local:{data_dir / name}", "towns")
    assert _sizes(data) == {"train": 18, "dev": 9, "test": 9} and len(data.corpus) == 12
    assert "36 of 36 questions are answerable" in data.notes[0]
    assert not data.warnings
    assert all(e.answer in e.answers for split in SPLITS for e in data.splits[split])


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.usefixtures("hub")
def test_every_dataset_loads_from_the_hub(name: str) -> None:
    data = load(DataRequest(dataset=name, source="hub"))
    assert (data.name, data.source, data.corpus_name) == (name, f"hub:{DATASETS[name].hub.id}", "wikipedia")
    assert len(data.splits["test"]) == 9 and len(data.splits["train"]) + len(data.splits["dev"]) == 27
    assert len(data.corpus) == 12  # the Hub's empty row is no passage
    assert any("a tenth of train" in note for note in data.notes)
    assert any("the first 20,000 rows of wikimedia/wikipedia" in note for note in data.notes)


@pytest.mark.usefixtures("hub")
def test_auto_takes_local_then_cache_then_hub_then_builtin(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(DataRequest(dataset="triviaqa", data_dir=data_dir, corpus="towns")).source.startswith("local:")
    assert load(DataRequest(dataset="triviaqa")).source == "hub:mandarjoshi/trivia_qa"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delattr(datasets, "load_dataset")
    assert load(DataRequest(dataset="triviaqa")).source == "hub:mandarjoshi/trivia_qa"  # from the cache
    assert load(DataRequest(dataset="nq_open")).source == "builtin:atlas"


def test_the_stand_in_is_never_named_after_the_benchmark() -> None:
    data = load(DataRequest(dataset="triviaqa"))
    assert (data.name, data.source, data.version, data.corpus_name) == ("atlas", "builtin:atlas", 3, "atlas")
    (warning,) = data.warnings
    assert warning.startswith("this is not triviaqa: mandarjoshi/trivia_qa is not in the Hub's cache")
    assert "HF_HUB_OFFLINE is set" in warning
    asked = load(DataRequest(dataset="triviaqa", source="builtin"))
    assert asked.name == "atlas" and "--source builtin was asked for" in asked.warnings[0]


def test_the_atlas_by_its_name_needs_no_warning(data_dir: Path) -> None:
    assert load(DataRequest(dataset="atlas")) == _atlas()
    other = load(DataRequest(dataset="atlas", data_dir=data_dir, corpus="towns", answerable_only=False))
    assert (other.name, other.corpus_name, len(other.corpus)) == ("atlas", "towns", 12)
    assert {e.passage for e in other.splits["train"]} == {""}  # the passages they rested on are not there


def test_source_hub_offline_is_one_clear_error() -> None:
    with pytest.raises(UserError, match=r"mandarjoshi/trivia_qa .* could not be read from the Hub .* --data-dir"):
        load(DataRequest(dataset="triviaqa", source="hub"))


def test_a_folder_is_a_dataset(data_dir: Path) -> None:
    data = load(DataRequest(dataset=str(data_dir / "nq_open"), corpus=str(data_dir / "towns" / "all.jsonl")))
    assert (data.name, data.source, data.corpus_name) == ("nq_open", f"local:{data_dir / 'nq_open'}", "all")


def test_rows_may_carry_their_own_passages(tmp_path: Path, write: Write) -> None:
    passages = DATASETS["triviaqa"].fixture().passages
    for split, rows in DATASETS["webquestions"].fixture().rows.items():
        held = ((row, next(p for p in passages if row["answers"][0] in p["text"])) for row in rows)
        write(tmp_path / "quiz" / f"{split}.jsonl", [{**row, "title": p["title"], "passage": p["text"]} for row, p in held])
    data = load(DataRequest(dataset=str(tmp_path / "quiz")))
    assert data.corpus_name == "quiz passages" and len(data.corpus) == 12
    assert {e.passage for split in SPLITS for e in data.splits[split]} <= {p.id for p in data.corpus}


def test_a_corpus_is_asked_for_with_those_there_are(data_dir: Path) -> None:
    with pytest.raises(UserError, match=r"triviaqa needs a corpus.*--corpus NAME_OR_PATH; in .* there are towns"):
        load(DataRequest(dataset="triviaqa", data_dir=data_dir))


def test_missing_splits_are_made_and_noted(tmp_path: Path, data_dir: Path, write: Write) -> None:
    write(tmp_path / "quiz" / "dev.jsonl", [{"question": f"Where is {i}?", "answer": "Arvelo"} for i in range(200)])
    data = load(DataRequest(dataset=str(tmp_path / "quiz"), data_dir=data_dir, corpus="towns"))
    assert sum(_sizes(data).values()) == 200 and all(_sizes(data).values())
    assert "raylab split all rows 80/10/10 by hash of the question" in data.notes[0]


def test_only_answerable_questions_are_kept_and_counted(tmp_path: Path, data_dir: Path, write: Write) -> None:
    rows = [{"question": f"Where is {i}?", "answer": "Atlantis", "answers": ["arvelo" if i % 2 else "Mu", "Arvelo"][: 1 + i % 2]}
            for i in range(400)]  # fmt: skip
    write(tmp_path / "quiz" / "all.jsonl", rows)
    request = DataRequest(dataset=str(tmp_path / "quiz"), data_dir=data_dir, corpus="towns")
    data = load(request)
    assert "200 of 400 questions are answerable: an accepted answer stands in towns as whole words" in data.notes
    assert {e.answer for split in SPLITS for e in data.splits[split]} == {"Arvelo"}
    assert any(note.startswith("200 canonical answers are the alias that stands most often in towns") for note in data.notes)
    every = load(dataclasses.replace(request, answerable_only=False))
    assert sum(_sizes(every).values()) == 400
    assert set(data.splits["test"]) <= set(every.splits["test"])  # leaving out moves no question


def test_no_answerable_question_is_an_error(tmp_path: Path, data_dir: Path, write: Write) -> None:
    write(tmp_path / "quiz" / "all.jsonl", [{"question": f"Where is {i}?", "answer": "Atlantis"} for i in range(100)])
    with pytest.raises(UserError, match="none of the 100 questions has an answer in the corpus towns"):
        load(DataRequest(dataset=str(tmp_path / "quiz"), data_dir=data_dir, corpus="towns"))


def test_too_few_rows_for_three_splits(tmp_path: Path, data_dir: Path, write: Write) -> None:
    write(tmp_path / "quiz" / "all.jsonl", [{"question": "Where?", "answer": "Arvelo"}])
    with pytest.raises(UserError, match="no question is left in"):
        load(DataRequest(dataset=str(tmp_path / "quiz"), data_dir=data_dir, corpus="towns"))


def test_sizes_are_capped(data_dir: Path) -> None:
    data = load(DataRequest(dataset="triviaqa", data_dir=data_dir, corpus="towns", max_examples=4))
    assert _sizes(data) == {"train": 4, "dev": 4, "test": 4}
    fewer = load(DataRequest(dataset="triviaqa", data_dir=data_dir, corpus="towns", max_passages=9, answerable_only=False))
    assert len(fewer.corpus) == 9 and "9 of 12 passages, chosen by hash" in fewer.notes
    small_atlas = load(DataRequest(dataset="atlas", max_passages=25, max_examples=10))
    there = {p.id for p in small_atlas.corpus}
    assert len(there) == 25 and all(e.passage in there for split in SPLITS for e in small_atlas.splits[split])
    assert len(small_atlas.splits["train"]) == 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "trivaqa"}, "unknown dataset 'trivaqa'. Did you mean 'triviaqa'?"),
        ({"dataset": "trivaqa", "source": "hub"}, "Did you mean 'triviaqa'?"),
        ({"corpus": "town"}, "unknown corpus 'town'. Did you mean 'towns'?"),
        ({"corpus": "./gone"}, "there is nothing at ./gone"),
        ({"dataset": "./gone"}, "there is nothing at ./gone"),
        ({"dataset": "./gone", "source": "hub"}, "is a path, which --source hub does not read"),
        ({"dataset": "atlas", "source": "hub"}, "atlas comes with raylab, not from --source hub"),
        ({"source": "local", "data_dir": None}, "--source local needs files: give --data-dir DIR with DIR/triviaqa/"),
        ({"data_dir": Path("gone")}, "--data-dir gone is no folder"),
        ({"corpus": "wikipedia"}, "wikimedia/wikipedia is not in the Hub's cache"),
        ({"source": "hub", "splits": {"train": "a.jsonl"}}, "--splits names local files"),
        ({"splits": {"train": "a.jsonl"}}, "there is no such file"),
        ({"max_examples": 0}, "--max-examples is 0; expected 1 or more"),
        ({"max_passages": -5}, "--max-passages is -5; expected 1 or more"),
    ],
)
def test_requests_that_cannot_be_met(change: dict[str, Any], said: str, data_dir: Path) -> None:
    with pytest.raises(UserError) as error:
        load(DataRequest(**{"dataset": "triviaqa", "data_dir": data_dir, "corpus": "towns", **change}))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_known_dataset_that_is_not_in_the_folder(data_dir: Path) -> None:
    (data_dir / "triviaqa").rename(data_dir / "trivia")
    with pytest.raises(UserError, match=r"has no folder 'triviaqa'; with tasks there are: nq_open, trivia, webquestions"):
        load(DataRequest(dataset="triviaqa", data_dir=data_dir, corpus="towns"))


def test_a_broken_line_names_file_and_line(data_dir: Path) -> None:
    with open(data_dir / "triviaqa" / "dev.jsonl", "a") as file:
        file.write('{"question": "Who')
    with pytest.raises(UserError, match=r"triviaqa/dev\.jsonl, line 10 is not JSON"):
        load(DataRequest(dataset="triviaqa", data_dir=data_dir, corpus="towns"))


def test_the_fingerprint_is_of_the_content(data_dir: Path) -> None:
    request = DataRequest(dataset="triviaqa", data_dir=data_dir, corpus="towns")
    data = load(request)
    assert fingerprint(data) == fingerprint(load(request)) and len(fingerprint(data)) == 20
    assert fingerprint(dataclasses.replace(data, source="elsewhere", notes=())) == fingerprint(data)
    shifted = {**data.splits, "train": data.splits["train"][1:], "dev": (*data.splits["dev"], data.splits["train"][0])}
    others = (dataclasses.replace(data, corpus=data.corpus[1:]), dataclasses.replace(data, splits=shifted))
    assert len({fingerprint(d) for d in (data, *others)}) == 3
