"""The bench of stacked steps measures steps that leave the same losses."""

import argparse

import pytest

from raylab.bench import stacked
from raylab.errors import UserError


def asked(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    stacked.configure(parser)
    return parser.parse_args(options)


def test_both_ways_leave_the_same_losses(capsys: pytest.CaptureFixture[str]) -> None:
    result = stacked.measure(asked("--models", "2", "--rows", "2", "--steps", "1", "--scale", "tiny", "--precision", "float32"))
    assert result["losses_apart"] < 1e-4
    assert min(result["tokens_per_s"].values()) > 0
    stacked.show(result)
    assert "2 models of 0.8M parameters, 2 rows each" in capsys.readouterr().out


def test_no_models() -> None:
    with pytest.raises(UserError, match="counts from 1"):
        stacked.measure(asked("--models", "0"))
