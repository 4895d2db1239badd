"""The arithmetic of the bench and its words; what it measures takes minutes and belongs to `raylab.bench overhead` itself."""

import argparse
from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.bench import overhead
from raylab.search.space import Replay

RESULT = {
    "lane_s": 0.1, "nested_s": 18.04, "ratio": 180.4, "lane_start_s": 13.2, "steps_s": 0.6, "trials": 12, "nested_trials": 3,
    "workers": 2,
}  # fmt: skip


def test_a_trial_costs_what_its_steps_do_not_explain() -> None:
    """Called at 100; a trial of 2 s of steps ends at 103, the next, of 1 s, at 105."""
    assert overhead._costs(100.0, [(103.0, 2.0), (105.0, 1.0)]) == [1.0, 1.0]


def test_the_trials_are_those_of_a_study(tmp_path: Path) -> None:
    conduct = overhead.small_study(tmp_path, 12)
    assert conduct.still_due() == 12
    first = overhead._first(conduct)
    trial = conduct.explore_request(first.recipe, {}, 0)
    assert first.key != trial.key, "the lane is warmed by a run that no trial will be answered with"
    assert conduct.space.family(conduct.space.recipe(Replay({}), conduct.settings.setting)) == "uniform"


def test_trials_that_did_not_finish_are_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="0 of 3 trials finished"):
        overhead._explored(overhead.small_study(tmp_path, 3))


@pytest.mark.parametrize("option", ["--trials", "--nested-trials", "--workers"])
def test_counts_are_positive(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "overhead", option, "0"]) == 2
    assert "expected at least 1 of each" in capsys.readouterr().err


def test_it_shows_all_figures(capsys: pytest.CaptureFixture[str]) -> None:
    overhead.show(RESULT)
    out = capsys.readouterr().out
    assert all(figure in out for figure in ("0.10", "18.04", "180", "13.2", "at least 20 times less. Met."))


def test_a_lane_that_saves_too_little_misses_the_goal() -> None:
    assert overhead.met(RESULT) and not overhead.met({**RESULT, "ratio": 19.9})


def test_defaults_are_those_of_the_promise() -> None:
    parser = argparse.ArgumentParser()
    overhead.configure(parser)
    assert vars(parser.parse_args([])) == {"trials": 12, "nested_trials": 3, "workers": 2}
