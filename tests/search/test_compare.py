"""What differs between two nested values."""

from typing import Any

import pytest

from raylab.search.compare import Difference, absent, differences


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [Difference(field="a", left=1, right=2)]),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, [Difference(field="a.b.0.c", left=1, right=2)]),
        ({"a": 1}, {}, [Difference(field="a", left=1, right=absent)]),
        ({}, {"a": None}, [Difference(field="a", left=absent, right=None)]),
        ({"a": ["x"]}, {"a": []}, [Difference(field="a", left=["x"], right=[])]),
    ],
)
def test_differences(left: Any, right: Any, expected: list[Difference]) -> None:
    assert differences(left, right) == expected
