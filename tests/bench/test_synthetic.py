"""The bench of synthetic tasks gives every task's figure; how large they are is no test."""

import argparse
import json

import pytest

from raylab.bench import synthetic
from raylab.synthetic.task import SyntheticTask


def test_every_task_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    synthetic.configure(parser)
    result = json.loads(json.dumps(synthetic.measure(parser.parse_args(["--rows", "8", "--runs", "1"]))))
    assert set(result["mtok_s"]) == set(SyntheticTask.registry.names())
    assert all(speed > 0 for speed in result["mtok_s"].values())
    synthetic.show(result)
    assert "longest_word" in capsys.readouterr().out


def test_what_a_tiny_model_learns_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    synthetic.configure(parser)
    asked = ["--rows", "8", "--runs", "1", "--tasks", "first_token", "--learn", "3"]
    result = json.loads(json.dumps(synthetic.measure(parser.parse_args(asked))))
    assert set(result["learned"]) == {"first_token"}
    assert result["learned"]["first_token"]["steps"] == 3
    assert 0 <= result["learned"]["first_token"]["accuracy"] < 0.9
    synthetic.show(result)
    assert "tokens right" in capsys.readouterr().out


def test_a_slow_median_misses_the_goal() -> None:
    assert synthetic.met({"median_mtok_s": 5.0})
    assert not synthetic.met({"median_mtok_s": 4.9})
