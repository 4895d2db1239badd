"""Few trials of no work, through the real Ray Tune; how long they take is the bench's own business."""

import argparse

import pytest

from raylab.app.cli import main
from raylab.bench import trials


def test_the_ends_of_a_search_are_compared() -> None:
    """A trial a second for the first ten, two seconds for the last ten."""
    ends = [float(i) for i in range(10)] + [9.0 + 2 * i for i in range(1, 11)]
    assert trials.first_and_last(ends) == (1.0, 2.0, 10)
    assert trials.first_and_last([float(i) for i in range(500)]) == (1.0, 1.0, trials.WINDOW)


def test_a_short_search_is_measured() -> None:
    result = trials.measure(argparse.Namespace(trials=20))
    assert result["trials"] == 20 and result["window"] == 10
    assert result["ratio"] == result["last_s"] / result["first_s"] > 0
    assert 300 < result["ledger_bytes"] < 5000


def test_too_few_trials_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "trials", "--trials", "3"]) == 2
    assert "expected at least 4" in capsys.readouterr().err


def test_it_shows_all_figures(capsys: pytest.CaptureFixture[str]) -> None:
    result = {
        "trials": 500,
        "seconds": 33.9,
        "window": 100,
        "first_s": 0.04,
        "last_s": 0.05,
        "ratio": 1.25,
        "ledger_bytes": 1290.4,
    }
    trials.show(result)
    assert trials.met(result) and not trials.met({**result, "ratio": 1.51})
    out = capsys.readouterr().out
    assert all(figure in out for figure in ("500", "34 s", "0.040", "0.050", "1.25", "1.5. Met.", "1290"))
