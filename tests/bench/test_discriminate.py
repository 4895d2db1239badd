"""The bench of replaced token detection measures both kinds of step, and judges what is learned on text that was not read."""

import argparse

import pytest

from raylab.bench import discriminate
from raylab.errors import UserError


def asked(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    discriminate.configure(parser)
    return parser.parse_args(options)


def test_both_kinds_of_step_are_measured_and_what_is_learned_is_judged(capsys: pytest.CaptureFixture[str]) -> None:
    result = discriminate.measure(asked("--rows", "8", "--steps", "2", "--learn", "2000"))
    assert result["ratio"] == pytest.approx(result["discriminate_ms"] / result["mlm_ms"])
    learned = result["learned"]
    assert learned["tokens"] > 1000
    assert 0.8 < learned["majority"] < 0.9, "of the 15 % that are hidden an untrained generator gets nearly all wrong"
    discriminate.show(result)
    printed = capsys.readouterr().out
    assert "replaced token detection" in printed and "are told right; the majority class is" in " ".join(printed.split())


def test_counts_below_one_are_refused() -> None:
    with pytest.raises(UserError, match="are counts"):
        discriminate.measure(asked("--rows", "0"))
