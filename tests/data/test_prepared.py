"""A prepared task: its folder's name is its content, it is made once, and whole or not at all."""

import json
import os
import shutil
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from raylab.data import files, prepared
from raylab.data.annotations.salient import Salient
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.task import SPLITS, TaskData
from raylab.data.tokenizer import train_bpe
from tests import tiny


def other_text() -> TaskData:
    data = tiny.task()
    return replace(data, corpus=(replace(data.corpus[0], text="Another town."), *data.corpus[1:]))


def test_it_holds_what_went_in(tmp_path: Path) -> None:
    data, made = tiny.task(), tiny.prepared(tmp_path)
    opened = Prepared(made.folder)
    assert opened.splits == dict(data.splits)
    assert opened.corpus.texts() == [f"{p.title}: {p.text}" for p in data.corpus]
    assert (opened.task, opened.max_tokens, len(opened.tokenizer)) == ("invented", 64, 400)
    assert opened.fingerprint == made.folder.name
    assert made.folder.parent == tmp_path / "data"
    assert opened.symbols.eos == opened.tokenizer.eos_token_id


def test_the_fingerprint_is_the_content(tmp_path: Path) -> None:
    """Other text, vocabulary, window or tokenizer: another folder. The same: the same, wherever it is made."""
    train_bpe(["one two three"], 300).save_pretrained(tmp_path / "one")
    train_bpe(["four five six"], 310).save_pretrained(tmp_path / "two")
    made = [
        tiny.prepared(tmp_path),
        tiny.prepared(tmp_path, data=other_text()),
        tiny.prepared(tmp_path, how=replace(tiny.HOW, vocab_size=380)),
        tiny.prepared(tmp_path, how=replace(tiny.HOW, max_tokens=32)),
        tiny.prepared(tmp_path, how=replace(tiny.HOW, tokenizer=str(tmp_path / "one"))),
        tiny.prepared(tmp_path, how=replace(tiny.HOW, tokenizer=str(tmp_path / "two"))),
    ]
    assert len({p.fingerprint for p in made}) == len(made)
    assert tiny.prepared(tmp_path / "elsewhere").fingerprint == made[0].fingerprint


def test_a_tokenizer_counts_by_what_it_does_not_by_its_name(tmp_path: Path) -> None:
    tokenizer = train_bpe(["one two three"], 300)
    prints = set()
    for name in ("one", "same"):
        tokenizer.save_pretrained(tmp_path / name)
        prints.add(tiny.prepared(tmp_path, how=Preparation(tokenizer=str(tmp_path / name))).fingerprint)
    tokenizer.eos_token = "<s>"
    tokenizer.save_pretrained(tmp_path / "ends otherwise")
    prints.add(tiny.prepared(tmp_path, how=Preparation(tokenizer=str(tmp_path / "ends otherwise"))).fingerprint)
    assert len(prints) == 2


def test_nothing_is_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tiny.prepared(tmp_path)
    monkeypatch.setattr(prepared, "_write", None)
    assert tiny.prepared(tmp_path).folder == first.folder


def test_annotations_are_made_with_it(tmp_path: Path) -> None:
    data = prepare(tiny.task(), "content", tiny.HOW, tmp_path, [Salient()])
    assert [path.name.split("-")[0] for path in (data.folder / "annotations").iterdir()] == ["salient"]


def test_a_preparation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "save_tokenizer", None)
        with pytest.raises(TypeError):
            tiny.prepared(tmp_path)
    assert list((tmp_path / "data").iterdir()) == []
    assert len(tiny.prepared(tmp_path).corpus) == 12


def test_two_may_prepare_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have written all of it before either puts it in its place, and both find it missing."""
    both_written, both_looked = threading.Barrier(2, timeout=300), threading.Barrier(2, timeout=300)
    write, rename = prepared._write, os.rename

    def write_then_wait(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        both_written.wait()

    def wait_then_rename(source: Path, target: Path) -> None:
        both_looked.wait()
        rename(source, target)

    monkeypatch.setattr(prepared, "_write", write_then_wait)
    monkeypatch.setattr(files.os, "rename", wait_then_rename)
    found: list[Prepared] = []
    threads = [threading.Thread(target=lambda: found.append(tiny.prepared(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0].folder == found[1].folder
    assert list((tmp_path / "data").iterdir()) == [found[0].folder]
    assert len(Prepared(found[0].folder).corpus) == 12


def test_a_folder_from_before_there_were_families_is_read(tmp_path: Path) -> None:
    data, made = tiny.task(), tiny.prepared(tmp_path)
    shutil.rmtree(made.folder / "examples")
    examples = {split: [asdict(example) for example in data.splits[split]] for split in SPLITS}
    (made.folder / "examples.json").write_text(json.dumps(examples))
    (made.folder / "meta.json").write_text(json.dumps({"task": "invented", "max_tokens": 64}))
    opened = Prepared(made.folder)
    assert (opened.splits, opened.family, opened.labels) == (dict(data.splits), "question_answering", ())


def test_sources_are_in_the_fingerprint_whatever_their_order(tmp_path: Path) -> None:
    """And a task without any has the one that it had before there were sources."""
    others = {name: replace(tiny.task(), name=name) for name in ("north", "south")}

    def fingerprint(*names: str) -> str:
        return prepare(tiny.task(), "here", tiny.HOW, tmp_path, sources={name: others[name] for name in names}).fingerprint

    assert fingerprint() == prepare(tiny.task(), "here", tiny.HOW, tmp_path).fingerprint
    assert fingerprint("north", "south") == fingerprint("south", "north")
    assert len({fingerprint(), fingerprint("north"), fingerprint("south"), fingerprint("north", "south")}) == 4
