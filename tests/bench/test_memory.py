"""What the bench compares, and its words; the search itself takes Ray and belongs to `raylab bench memory`."""

from typing import Any

import pytest

from raylab.app.cli import main
from raylab.bench import memory

RESULT: dict[str, Any] = {"early_bytes": 400 * 2**20, "last_bytes": 410 * 2**20, "ratio": 1.025, "trials": 200}


def test_the_ends_are_compared_without_those_that_warm_up() -> None:
    assert memory.early_and_last([1] * 10 + [100] * 170 + [110] * 20) == (100, 110)
    assert memory.early_and_last([1] * 10 + [100, 110]) == (100, 110)


def test_it_shows_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    memory.show(RESULT)
    out = capsys.readouterr().out
    assert all(figure in out for figure in ("200 trials", "400 MiB", "410 MiB", "1.025", "at most 1.05", "Met."))
    assert not memory.met({"ratio": 1.06})


def test_too_few_trials_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "memory", "--trials", "11"]) == 2
    assert "at least 12" in capsys.readouterr().err
