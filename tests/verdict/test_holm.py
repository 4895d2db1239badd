"""Holm's procedure, as in its paper and against its own definition."""

import numpy as np
import pytest

from raylab.verdict.holm import adjusted, levels


def test_the_smallest_is_tested_strictest() -> None:
    assert levels([0.04, 0.001, 0.02]) == pytest.approx([0.05, 0.05 / 3, 0.05 / 2])
    assert adjusted([0.04, 0.001, 0.02]) == pytest.approx([0.04, 0.003, 0.04])


def test_from_the_first_that_fails_nothing_counts() -> None:
    assert levels([0.03, 0.04]) == pytest.approx([0.025, 0.025])
    assert adjusted([0.03, 0.04]) == pytest.approx([0.06, 0.06])


def test_nothing_to_compare() -> None:
    assert levels([]) == adjusted([]) == []


def test_levels_and_adjusted_values_agree() -> None:
    rng = np.random.default_rng(0)
    for size in rng.integers(1, 6, 300):
        p_values = (rng.random(size) ** 4).tolist()
        for p, level, among_all in zip(p_values, levels(p_values), adjusted(p_values), strict=True):
            assert (p < level) == (among_all < 0.05)
            assert p <= among_all <= 1


def test_equals_are_called_different_in_at_most_5_percent() -> None:
    rng = np.random.default_rng(1)
    wrong = sum(any(p < level for p, level in zip(row, levels(row), strict=True)) for row in rng.random((4000, 5)).tolist())
    assert wrong / 4000 < 0.06
