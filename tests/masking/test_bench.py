"""The masking bench gives every policy's figures; how large they are is no test."""

import argparse
import json

import pytest

from raylab.bench import masking
from raylab.masking.policy import policies_by_default


def test_every_policy_is_measured_beside_both_collators(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    masking.configure(parser)
    result = json.loads(json.dumps(masking.measure(parser.parse_args(["--rows", "40", "--length", "32", "--runs", "1"]))))
    assert set(result["policies"]) == set(policies_by_default())
    assert all(figures["mtok_s"] > 0 and figures["ratio_whole_word"] > 0 for figures in result["policies"].values())
    assert result["collator_mtok_s"] > 0 and result["whole_word_mtok_s"] > 0
    masking.show(result)
    assert "span_corruption" in capsys.readouterr().out


def test_one_policy_that_is_slow_misses_the_goal() -> None:
    quick, slow = {"mtok_s": 200.0, "goal_mtok_s": 20.0}, {"mtok_s": 19.9, "goal_mtok_s": 20.0}
    assert masking.met({"policies": {"uniform": quick}})
    assert not masking.met({"policies": {"uniform": quick, "salient": slow}})
