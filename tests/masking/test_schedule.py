"""The rate over a stage."""

import pytest

from raylab.errors import UserError
from raylab.masking.policies.uniform import Uniform


def test_a_constant_rate_stays() -> None:
    assert {Uniform(rate=0.3, rate_end=0.9).rate_at(p) for p in (0.0, 0.4, 1.0)} == {0.3}


def test_a_linear_rate_goes_from_start_to_end() -> None:
    policy = Uniform(rate=0.5, rate_end=0.1, schedule="linear")
    assert [round(policy.rate_at(p), 9) for p in (0.0, 0.25, 1.0)] == [0.5, 0.4, 0.1]


def test_a_cyclic_rate_swings_as_often_as_it_is_told() -> None:
    policy = Uniform(rate=0.1, rate_end=0.5, schedule="cyclic", cycles=2)
    assert [round(policy.rate_at(p), 9) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.1, 0.5, 0.1, 0.5, 0.1]


@pytest.mark.parametrize(
    "fields", [{"rate": 1.5}, {"rate": -0.1}, {"rate_end": 2.0}, {"cycles": 0}, {"random_share": 0.6, "keep_share": 0.6}]
)
def test_fields_out_of_their_limits_are_named(fields: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(fields))):
        Uniform(**fields)  # type: ignore[arg-type]
