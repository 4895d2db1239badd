"""Which tasks may be learned before a target: what is taken, what is left out and why, what is refused."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.app.sources import Sources, Wanted, sources_of
from raylab.data.local import read_examples
from raylab.data.overlap import overlap
from raylab.data.source import DataRequest, load
from raylab.errors import UserError

THINGS = ("kettle", "ladder", "lantern", "saddle", "compass", "anchor", "basket", "candle", "hammer", "mirror")


def _rows(about: str, count: int = 60, **fields: Callable[[int], Any]) -> list[dict[str, Any]]:
    """Rows whose texts stand in no other task: `about` is in each."""
    texts = [f"The {about} with the {THINGS[i % 10]} and the {THINGS[i // 10]} was left behind" for i in range(count)]
    label: dict[str, Callable[[int], Any]] = {**fields} or {"label": lambda i: ("good", "bad")[i % 2]}
    return [{"text": text, **{name: value(i) for name, value in label.items()}} for i, text in enumerate(texts)]


def _write(folder: Path, name: str, rows: Sequence[dict[str, Any]], file_name: str = "all") -> None:
    (folder / name).mkdir(exist_ok=True)
    with gzip.open(folder / name / f"{file_name}.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target, two sources that fit, and neighbours that do not; and built in, one that cannot be read."""
    monkeypatch.setattr("raylab.app.sources.builtin", lambda: ("atlas_lost",))
    monkeypatch.setenv("RAYLAB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    _write(folder, "target", _rows("soldier"))
    _write(folder, "boats", _rows("sailor"))
    _write(folder, "stars", _rows("pilot", score=float))
    pairs = [{"premise": row["text"], "hypothesis": f"{row['text']} again", "label": row["label"]} for row in _rows("soldier")]
    _write(folder, "again", pairs)
    _write(folder, "titles", [{"source": row["text"], "target": "A title"} for row in _rows("monk")])
    _write(folder, "rare", _rows("judge", 40), "train")
    _write(folder, "rare", _rows("clerk", 20), "dev")
    _write(folder, "rare", _rows("lawyer", 20, label=lambda i: ("good", "unseen")[i % 2]), "test")
    return folder


def _sources(data_dir: Path, named: Sequence[str] | None = None, **wanted: Any) -> Sources:
    request = DataRequest(dataset="target", data_dir=data_dir)
    return sources_of(load(request), request, Wanted(named=named, **{"writes": False, **wanted}))


def test_all_that_fit_are_taken_and_the_others_named_with_their_reason(data_dir: Path) -> None:
    found = _sources(data_dir)
    assert set(found.names) == {"boats", "stars"}
    assert {source.data.name for source in found.taken.values()} == {d.name for d in found.others.values()}
    reasons = {
        "target": "the target itself", "again": "of the dev and test examples of target stand in the train split of again",
        "titles": "an encoder does not write", "rare": "'unseen'", "atlas_lost": "unknown dataset",
    }  # fmt: skip
    assert found.left_out.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in found.left_out[name]
    left_out = [
        name for note in found.notes() if note.startswith("Not in the mixture") for name in note.split(": ")[1].split(", ")
    ]
    assert set(left_out) == reasons.keys()


@pytest.mark.parametrize("name", ["target", "again", "titles", "rare"])
def test_one_that_was_named_is_refused_in_one_line(data_dir: Path, name: str) -> None:
    with pytest.raises(UserError) as refused:
        _sources(data_dir, ["boats", name])
    assert "\n" not in str(refused.value) and name in str(refused.value)


def test_what_is_asked_for_in_the_open_is_taken(data_dir: Path) -> None:
    found = _sources(data_dir, ["boats", "target", "again"], target_too=True, overlapping=True)
    assert found.names == ("target", "again", "boats")
    assert [data.name for data in found.others.values()] == ["again", "boats"], "the target is prepared once"
    assert "again" in found.notes()[-1]
    assert _sources(data_dir, ["titles"], writes=True).names == ("titles",)


def test_those_whose_words_are_most_like_the_targets_come_first(data_dir: Path) -> None:
    _write(data_dir, "far", [{"text": f"Nothing of that {i}", "label": i % 2} for i in range(40)])
    found = _sources(data_dir, ["far", "stars"])
    assert found.names == ("stars", "far")
    near, far = (source.likeness for source in found.taken.values())
    assert 1 > near > 0.5 > far > 0
    assert found.notes() == [
        f"Of the tasks to mix, these have words most like the target's (1: the same): stars {near:.2f}, far {far:.2f}"
    ]


def test_the_target_is_known_whatever_corpus_it_was_given(data_dir: Path) -> None:
    request = DataRequest(dataset="target", data_dir=data_dir, corpus="boats")
    with pytest.raises(UserError, match="target is the target itself"):
        sources_of(load(request), request, Wanted(named=["target"], writes=False))


def test_two_tasks_of_one_name(data_dir: Path, tmp_path: Path) -> None:
    _write(tmp_path, "boats", _rows("fisher"))
    with pytest.raises(UserError, match="two tasks are named 'boats'"):
        _sources(data_dir, ["boats", str(tmp_path / "boats")])
    _write(tmp_path, "target", _rows("cook"))
    with pytest.raises(UserError, match="two tasks are named 'target', the target and another"):
        _sources(data_dir, [str(tmp_path / "target")])


def test_none_left_is_an_error(data_dir: Path) -> None:
    for name in ("boats", "stars"):
        (data_dir / name / "all.jsonl.gz").unlink()
    with pytest.raises(UserError, match="no task to learn before target; name some"):
        _sources(data_dir)


def test_overlap_is_the_share_of_judged_examples_whose_text_is_trained_on(data_dir: Path) -> None:
    target, again = (load(DataRequest(dataset=name, data_dir=data_dir)) for name in ("target", "again"))
    judged = [e.text for split in ("dev", "test") for e in target.splits[split]]
    trained = {e.text for e in again.splits["train"]}  # split by pairs: other texts than the target's
    expected = sum(text in trained for text in judged) / len(judged)
    assert 0 < overlap(target, again) == overlap(target, again) == expected
    assert overlap(target, load(DataRequest(dataset="boats", data_dir=data_dir))) == 0


def test_short_texts_are_nobodys(data_dir: Path) -> None:
    """ "Yes" among the choices of two tasks says nothing about either."""
    for name in ("north", "south"):
        rows = [
            {"question": f"Does it lie in the {name} by {i}?", "choices": ["yes it does", "no"], "label": i % 2}
            for i in range(60)
        ]
        _write(data_dir, name, rows)
    north, south = (load(DataRequest(dataset=name, data_dir=data_dir)) for name in ("north", "south"))
    assert overlap(north, south) == 0


def test_the_command_lists_them(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "sources", "target", "--data-dir", str(data_dir)]) == 0
    printed = capsys.readouterr().out
    assert "boats" in printed and "left out: again: " in printed and "left out: titles: asks for answers in words" in printed
    assert main(["data", "sources", "target", "--data-dir", str(data_dir), "--sources", "again"]) == 2
    assert "stand in the train split of again" in capsys.readouterr().err
    assert main(["data", "sources", "target", "--data-dir", str(data_dir), "--sources", "again", "--allow-overlap"]) == 0


def test_the_folders_are_read_as_they_are_meant(data_dir: Path) -> None:
    families = {name: read_examples(data_dir / name, {})[0].name() for name in ("target", "stars", "titles")}
    assert families == {"target": "classification", "stars": "regression", "titles": "generation"}
