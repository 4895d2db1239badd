"""What a person sees while a study runs."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raylab.app import display
from raylab.app.console import duration
from raylab.app.display import Display
from raylab.app.pace import Pace
from tests.app.studies import ToldStudy

LIVE = {0: {"label": "uniform -> spans, lr 0.001", "stage": "denoise", "step": 10, "steps": 40, "tokens_per_s": 9000.4}}
LONG = {1: {**LIVE[0], "label": "a recipe with many choices, " * 9}}


@pytest.fixture
def told(tmp_path: Path) -> ToldStudy:
    return ToldStudy(tmp_path)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of 100 columns, read through its file."""
    made = Console(file=io.StringIO(), force_terminal=True, width=100, height=40, highlight=False, color_system=None)
    monkeypatch.setattr(display, "console", lambda: made)
    return made


def _seen(terminal: Console) -> str:
    """All that was ever drawn, without control codes."""
    assert isinstance(terminal.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.file.getvalue())


def _show(shown: Display, *now: Any) -> str:
    """What the live display says now, on 100 columns."""
    shown(*now)
    paper = Console(file=io.StringIO(), width=100, color_system=None)
    with paper.capture() as captured:
        paper.print(shown._live.get_renderable())
    return captured.get()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (1500, "25 min"), (5340, "89 min"), (5400, "1 h 30 min"), (90000, "25 h 0 min")],
)
def test_times_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# --- elsewhere than on a terminal -----------------------------------------------------------------------------------


def test_plain_lines_without_control_codes(told: ToldStudy, capsys: pytest.CaptureFixture[str]) -> None:
    with Display(told.conduct, lanes=2) as shown:
        told.run(told.trial(0), 38.25)
        shown(told.study, LIVE)
        told.run(told.trial(1, "salient"), 36.0)
        shown(told.study, {})
    starting, blank, heading, *rows = capsys.readouterr().out.splitlines()
    assert starting.startswith("Starting 2 lanes")
    assert (blank, heading.split()) == ("", ["run", "state", "bits", "per", "answer,", "dev", "seconds", "recipe"])
    assert [row.split()[:5] for row in rows] == [
        ["trial", "0", "finished", "38.25", "10.0"],
        ["trial", "1", "finished", "36.00", "10.0"],
    ]
    assert rows[0].index("38.25") + len("38.25") == heading.index(", dev") + len(", dev"), "figures stand below their heading"
    assert not any("\x1b" in line or len(line) > 120 or line != line.rstrip() for line in (heading, *rows))


def test_now_and_then_a_line_says_how_far_it_is(
    told: ToldStudy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "PLAIN_EVERY_S", 0)
    with Display(told.conduct, lanes=1) as shown:
        told.run(told.trial(0), 38.25)
        shown(told.study, LIVE)
        shown(told.study, LIVE)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("explore: 1 of 4 trials (1 finished); best: 38.25 bits per answer on dev: uniform")
    assert "9,000 tokens/s" in line and "left" not in line


def test_a_failed_run_says_why(told: ToldStudy, capsys: pytest.CaptureFixture[str]) -> None:
    with Display(told.conduct, lanes=1) as shown:
        request = told.trial(0)
        told.start(request, 1.0)
        told.end(request, 4.0, state="failed", error="Traceback ...\nRuntimeError: no memory [0]\n")
        shown(told.study, {})
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split()[:5] == ["trial", "0", "failed", "-", "3.0"]
    assert row.endswith("(RuntimeError: no memory [0])")


def test_quiet_says_nothing(told: ToldStudy, capsys: pytest.CaptureFixture[str]) -> None:
    with Display(told.conduct, lanes=1, quiet=True) as shown:
        told.run(told.trial(0), 38.0)
        shown(told.study, LIVE)
    assert capsys.readouterr() == ("", "")


def test_what_ended_before_a_resume_is_not_told_again(told: ToldStudy, capsys: pytest.CaptureFixture[str]) -> None:
    told.run(told.trial(0), 38.0)
    with Display(told.conduct, lanes=1) as shown:
        shown(told.study, {})
    assert capsys.readouterr().out.count("\n") == 1, "lanes start, and nothing else"


# --- on a terminal --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("terminal")
def test_it_says_that_lanes_start_until_one_works(told: ToldStudy) -> None:
    told.run(told.trial(0), 38.0)  # before it was resumed
    with Display(told.conduct, lanes=2) as shown:
        assert "Starting 2 lanes" in _show(shown, told.study, {})
        now = _show(shown, told.study, LIVE)
    assert "Starting" not in now
    assert "Explore   1 of 4 trials (1 finished)" in now


@pytest.mark.usefixtures("terminal")
def test_lanes_and_the_best_so_far(told: ToldStudy) -> None:
    with Display(told.conduct, lanes=2) as shown:
        told.run(told.trial(0), 38.25)
        told.run(told.trial(1, "salient"), 36.5)
        now = _show(shown, told.study, {**LIVE, **LONG})
    assert "Best      36.50 bits per answer on dev: salient" in now
    assert "lane 0    uniform -> spans, lr 0.001" in now and "10/40" in now
    assert max(map(len, now.splitlines())) <= 100
    assert sum(line.startswith("lane 1") for line in now.splitlines()) == 1, "a long name is cut, not wrapped"


def test_confirming_counts_the_verdicts_runs(told: ToldStudy, terminal: Console) -> None:
    with Display(told.conduct, lanes=2) as shown:
        for number in range(4):
            told.run(told.trial(number, "salient"), 38.0 + 9 * (number > 0))
        while (due := told.conduct.due())[0].role == "race":
            for request in due:
                told.run(request, 38.0 + 9 * (request.recipe != due[0].recipe))
        told.run(due[0], 37.0)
        now = _show(shown, told.study, LIVE)
    assert f"Confirm   1 of {len(due)} runs" in now
    assert f"seed {due[0].replicate}     finished" in _seen(terminal)


def test_it_leaves_the_last_run_and_a_clean_terminal(told: ToldStudy, terminal: Console) -> None:
    with Display(told.conduct, lanes=2) as shown:
        told.run(told.trial(0), 38.25)
        shown(told.study, LIVE)
        told.run(told.trial(1), 37.75)
        shown(told.study, {})
    assert "37.75" in _seen(terminal)
    assert isinstance(terminal.file, io.StringIO)
    assert "\x1b[2K" in terminal.file.getvalue()[-120:], "the live table is erased"


# --- the time that is left ------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_rest_is_told_from_the_runs_of_this_process(told: ToldStudy) -> None:
    told.run(told.trial(0), 38.0, began=1.0, took=500.0)  # before this process, on a busier machine
    clock = Clock()
    pace = Pace(told.conduct, 2, clock)
    told.run(told.trial(1), 38.0, began=1030.0)
    assert pace.seconds_left() is None, "one run says little"
    told.run(told.trial(2), 38.0, began=1030.0, took=14.0)
    clock.now = 1044.0
    assert pace.seconds_left() == (1 + 2 * 4) * 12.0 / 2, "a trial and at most four arms on two seeds, on two lanes"


def test_a_run_at_work_counts_as_far_as_it_is(told: ToldStudy) -> None:
    clock = Clock()
    pace = Pace(told.conduct, 1, clock)
    told.run(told.trial(0), 38.0, began=1000.0)
    told.run(told.trial(1), 38.0, began=1010.0)
    told.start(told.trial(2), 1020.0)
    clock.now = 1026.0
    assert pace.seconds_left() == 10 * 10.0 - 6.0
    clock.now = 1099.0  # it takes longer than the mean; nobody knows how much longer
    assert pace.seconds_left() == 9 * 10.0


def test_lanes_that_start_slowly_do_not_count(told: ToldStudy) -> None:
    clock = Clock()
    pace = Pace(told.conduct, 1, clock)
    for number in range(2):
        told.run(told.trial(number), 38.0, began=5000.0 + 10 * number)
    clock.now = 5020.0
    assert pace.seconds_left() == 10 * 10.0


def test_nothing_is_left_at_the_end(told: ToldStudy) -> None:
    pace = Pace(told.conduct, 1, Clock())
    for number in range(4):
        told.run(told.trial(number, "salient"), 38.0 + number, began=1000.0)
    told.run_due(lambda request: 37.0)
    phase = pace.phase()
    assert (phase.name, phase.done, phase.left) == ("Confirm", phase.of, 0)
    assert pace.seconds_left() == 0.0
