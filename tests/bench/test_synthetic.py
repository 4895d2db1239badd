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


def test_a_slow_median_misses_the_goal() -> None:
    assert synthetic.met({"median_mtok_s": 5.0})
    assert not synthetic.met({"median_mtok_s": 4.9})
