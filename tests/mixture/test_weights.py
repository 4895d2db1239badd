"""Proportions of tasks, against the formulas."""

import numpy as np
import pytest

from raylab.errors import UserError
from raylab.mixture.weights import given, natural, tempered


def test_natural_proportions_are_sizes() -> None:
    assert natural([100, 300, 600]).tolist() == pytest.approx([0.1, 0.3, 0.6])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 8.0, 1e9])
def test_tempered_proportions(temperature: float) -> None:
    powers = np.array([4.0, 9.0, 400_000.0]) ** (1 / temperature)
    assert tempered([4, 9, 400_000], temperature) == pytest.approx(powers / powers.sum())


def test_given_ones_are_scaled() -> None:
    assert given({"b": 3.0, "a": 1.0}, ["a", "b", "c"]).tolist() == pytest.approx([0.25, 0.75, 0.0])


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"a": -0.5, "b": 1.0}, "the weight of a is -0.5; expected 0 or more"),
        ({"a": float("nan")}, "the weight of a is nan"),
        ({"a": 0.0}, "the weights of the mixture sum to 0"),
        ({"z": 1.0}, "a weight is given for 'z', which is not in the mixture: a, b"),
    ],
)
def test_weights_that_make_no_mixture(weights: dict[str, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        given(weights, ["a", "b"])


def test_a_temperature_is_positive() -> None:
    with pytest.raises(UserError, match="temperature is 0; expected a positive number"):
        tempered([1, 2], 0.0)
