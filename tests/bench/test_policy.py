"""The bench of learned policies gives every extractor's figure; how large they are is no test."""

import argparse
import json

import pytest

from raylab.bench import policy


def test_every_extractor_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    policy.configure(parser)
    asked = ["--width", "8", "--layers", "1", "--passages", "30", "--runs", "1"]
    result = json.loads(json.dumps(policy.measure(parser.parse_args(asked))))
    assert set(result["mtok_s"]) == set(policy.KINDS) and all(speed > 0 for speed in result["mtok_s"].values())
    policy.show(result)
    assert "bilstm" in capsys.readouterr().out


def test_a_slow_bilstm_misses_the_goal() -> None:
    assert policy.met({"mtok_s": {"bilstm": 0.2}, "goal_mtok_s": 0.2})
    assert not policy.met({"mtok_s": {"bilstm": 0.19, "transformer": 9.0}, "goal_mtok_s": 0.2})
