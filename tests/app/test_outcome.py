"""What a search says at its end, and how it begins and ends."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from raylab.app import session
from raylab.app.console import launcher
from raylab.app.introduction import introduce
from raylab.app.opening import Opened
from raylab.app.outcome import plain, show_next, show_verdict, storage_option
from raylab.cluster.runner import Placement
from raylab.errors import UserError
from raylab.storage import Storage
from tests.app.studies import ToldStudy

KEYS = {
    "name",
    "dataset",
    "source",
    "trials",
    "replicates",
    "best",
    "verdict",
    "report",
    "tracking_uri",
    "run_id",
    "seconds",
    "capped",
    "predicted",
}
WARNING = "this is not triviaqa: the Hub cannot be reached, so the built-in atlas stands in its place"


@pytest.fixture
def told(tmp_path: Path) -> ToldStudy:
    return ToldStudy(tmp_path / "data", warnings=[WARNING], notes=["12 of 24 passages, chosen by hash"])


@pytest.fixture
def concluded(told: ToldStudy) -> ToldStudy:
    """Four trials, then the verdict: salient takes 3 bits less than uniform."""
    for number, policy in enumerate(("uniform", "salient", "uniform", "salient")):
        told.run(told.trial(number, policy), 38.0 + number - 5 * (policy == "salient"))
    told.run_due(lambda request: 34.0 + request.replicate % 1000 / 10 + 3.0 * (request.role == "baseline"))
    told.study.apply({"event": "verdict", "time": 99.0, "verdict": told.conduct.conclude()})
    return told


def _opened(told: ToldStudy, storage: Path, resumed: bool = False) -> Opened:
    return Opened(
        conduct=told.conduct, task=None, placement=Placement(folder=storage / "told", lanes=2), cluster=None,
        tracking_uri="sqlite:///m.db", parameters=830_000, resumed=resumed,
    )  # type: ignore[arg-type]  # fmt: skip


def _printed(width: int, say: Any, *arguments: Any) -> str:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    with out.capture() as captured:
        say(*(out if argument is ... else argument for argument in arguments))
    return captured.get()


def _in_one(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [80, 120, 240])
def test_the_verdict_in_words_and_figures(concluded: ToldStudy, width: int) -> None:
    text = _printed(width, show_verdict, concluded.study, ...)
    verdict = concluded.study.verdict or {}
    assert verdict["decision"] == "better"
    assert f"Warning: {WARNING}" in _in_one(text)
    assert f"Verdict {verdict['sentence']}" in _in_one(text)
    assert all(_in_one(f"Beside {beside['sentence']}") in _in_one(text) for beside in verdict["beside"])
    assert "34.15" in text and "37.15" in text
    assert all(len(line.rstrip()) <= max(width, 120) for line in text.splitlines() if not line.startswith("Warning"))


def test_prose_that_agrees_is_told_beside_the_verdict(concluded: ToldStudy) -> None:
    verdict = concluded.study.verdict or {}
    verdict["prose"] = {"difference": -2.5, "low": -2.9, "high": -2.1, "questions": 4, "decision": verdict["decision"]}
    assert "On prose alone (4 examples) the same: -2.50, 95 % interval -2.90 to -2.10." in _printed(
        120, show_verdict, concluded.study, ...
    )


def test_prose_that_disagrees_is_told_by_the_sentence_alone(concluded: ToldStudy) -> None:
    verdict = concluded.study.verdict or {}
    verdict["prose"] = {"difference": 0.1, "low": -2.9, "high": 2.1, "questions": 4, "decision": "no_reliable_difference"}
    assert "On prose alone" not in _printed(120, show_verdict, concluded.study, ...)


def test_a_verdict_without_figures(told: ToldStudy) -> None:
    sentence = "No verdict: the search's winner is the baseline itself, uniform."
    told.study.apply({"event": "verdict", "time": 9.0, "verdict": {"sentence": sentence, "decision": "not_run", "prose": None}})
    assert sentence in _printed(120, show_verdict, told.study, ...)


# --- for scripts ----------------------------------------------------------------------------------------------------


def test_the_object_for_scripts(concluded: ToldStudy, tmp_path: Path) -> None:
    told = json.loads(json.dumps(plain(_opened(concluded, tmp_path), "abc", "report.html", 12.34)))
    assert set(told) == KEYS
    assert told["trials"] == {"finished": 4, "pruned": 0, "failed": 0, "diverged": 0, "cached": 0}
    assert told["replicates"] == len(concluded.conduct.confirmation())
    assert {k: told["best"][k] for k in ("metric", "value", "higher_is_better")} == {
        "metric": "bits_per_answer", "value": 34.0, "higher_is_better": False,
    }  # fmt: skip
    assert told["best"]["recipe"]["stages"][0]["policy"]["name"] == "salient"
    verdict = told["verdict"]
    assert (verdict["decision"], verdict["seeds"], verdict["higher_is_better"]) == ("better", 2, False)
    assert verdict["difference"] == pytest.approx(-3.0)
    assert verdict["low"] <= verdict["difference"] <= verdict["high"]
    assert (told["run_id"], told["seconds"]) == ("abc", 12.3)


def test_the_object_of_a_study_in_which_nothing_finished(told: ToldStudy, tmp_path: Path) -> None:
    request = told.trial(0)
    told.start(request, 1.0)
    told.end(request, 2.0, state="failed", error="RuntimeError: no memory")
    spoken = plain(_opened(told, tmp_path), None, "report.html", 1.0)
    assert set(spoken) == KEYS
    assert spoken["best"] is None
    assert spoken["trials"]["failed"] == 1
    assert spoken["verdict"]["decision"] == "not_run"


# --- what to do next ------------------------------------------------------------------------------------------------


def test_the_commands_find_the_study(concluded: ToldStudy, tmp_path: Path) -> None:
    (tmp_path / "told" / "winner").mkdir(parents=True)
    text = _printed(60, show_next, _opened(concluded, tmp_path), ..., "report.html")
    assert f"{launcher()} ui --storage {tmp_path}\n" in text, "a command is not broken over lines"
    assert f"{launcher()} export told --to my-model --storage {tmp_path}\n" in text


def test_without_a_winner_there_is_nothing_to_export(told: ToldStudy, tmp_path: Path) -> None:
    assert "export" not in _printed(120, show_next, _opened(told, tmp_path), ..., "report.html")


def test_the_default_folder_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage_option(Storage.of("runs")) == ""
    assert storage_option(Storage.of(tmp_path / "my runs")) == f" --storage '{tmp_path}/my runs'"
    assert storage_option(Storage.of("s3://bucket/raylab")) == " --storage s3://bucket/raylab"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (130, f"Interrupted. Go on with: {launcher()} search --resume told --storage"),
        (1, "Nothing finished: no memory (2 of 3 trials)."),
    ],
)
def test_an_end_without_a_verdict(told: ToldStudy, tmp_path: Path, status: int, words: str) -> None:
    for number, error in enumerate(("Traceback\n  File\nValueError: bad\n", "no memory", "no memory")):
        told.start(told.trial(number), 1.0)
        told.end(told.trial(number), 2.0, state="failed", error=error)
    assert words in _printed(200, session._conclude, _opened(told, tmp_path), status, "report.html", ...)


# --- the beginning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 240])
def test_the_introduction_says_what_it_rests_on(told: ToldStudy, tmp_path: Path, width: int) -> None:
    text = _in_one(_printed(width, introduce, _opened(told, tmp_path), ...))
    assert text.startswith(f"Warning: {WARNING} Study told Data invented, built in: questions 24 train, 6 dev, 6 test Corpus")
    for part in (
        "12 passages, 456 tokens 12 of 24 passages, chosen by hash", "0.8M parameters, t5-like, scale tiny, from random weights",
        "4 trials over salient, uniform; seed 0", "by bits per answer on at most 2 fresh paired seeds and the test split",
        "Lanes 2 of 1 worker", f"Results {tmp_path / 'told'}",
    ):  # fmt: skip
        assert part in text


def test_a_resumed_study_says_what_stands(told: ToldStudy, tmp_path: Path) -> None:
    told.run(told.trial(0), 38.0)
    assert "seed 0; 1 run stands from before" in _in_one(_printed(120, introduce, _opened(told, tmp_path, resumed=True), ...))


def test_one_process_works_on_a_study(tmp_path: Path) -> None:
    with FileLock(tmp_path / "search.lock"), pytest.raises(UserError, match="is being run by another process"):  # noqa: SIM117
        with session.alone(tmp_path):
            pass
    with session.alone(tmp_path):
        assert os.path.exists(tmp_path / "search.lock")
