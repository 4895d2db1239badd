"""From which size on one arm is hardly ahead of another, and how fast arms read."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raylab.search.comparison import gaps
from raylab.verdict.paired import paired_difference
from tests.search.comparison.study_file import CASES

SIZES = (1.0, 10.0, 50.0, 100.0)


class Known:
    """Arms whose leads are known; a case for every size, in any order."""

    def __init__(self, leads: tuple[float, ...], noise: float = 0.0) -> None:
        self.leads = dict(zip(SIZES, leads, strict=True))
        self.noise_SQ = np.random.default_rng(0).normal(0, noise, (3, 100))
        self.cases = tuple(replace(CASES[0], name=f"{size:.0f} %", x=size) for size in SIZES[::-1])

    def arms(self, case: Any) -> list[str]:
        return ["pretrained", "lstm"]

    def metric(self, case: Any) -> str:
        return "accuracy"

    def scores(self, case: Any, arm: str, metric: str = "") -> list[list[float]]:
        lead = self.leads[case.x] + self.noise_SQ if arm == "pretrained" else 0 * self.noise_SQ
        return [list(map(float, row)) for row in 0.5 + lead]

    def difference(self, case: Any, arm: str, against: str) -> Any:
        return paired_difference(self.scores(case, arm), self.scores(case, against))


def _from(known: Any) -> str:
    section = gaps.gaps(known, "pretrained", ["lstm"])
    assert section.rows[-1][0] == "within a point from"
    return section.rows[-1][1]


@pytest.mark.parametrize(
    ("leads", "told"),
    [
        ((0.3, 0.1, 0.005, 0.0), "50 % [50 %; 50 %]"),
        ((0.3, 0.0, 0.1, -0.2), "100 % [100 %; 100 %]"),  # small once, but not from there on
        ((-0.3, 0.0, 0.0, 0.0), "1 % [1 %; 1 %]"),
        ((0.3, 0.2, 0.1, 0.05), f"{gaps.NEVER} [{gaps.NEVER}; {gaps.NEVER}]"),
    ],
)
def test_the_least_size_from_which_on_the_lead_is_small(leads: tuple[float, ...], told: str) -> None:
    assert _from(Known(leads)) == told


def test_what_examples_and_seeds_leave_open_is_told() -> None:
    assert _from(Known((0.3, 0.2, 0.02, 0.0), noise=0.15)) == f"100 % [50 %; {gaps.NEVER}]"


def test_leads_are_told_in_points_by_size() -> None:
    section = gaps.gaps(Known((0.3, 0.1, 0.005, 0.0)), "pretrained", ["lstm"])  # type: ignore[arg-type]
    assert [row[0] for row in section.rows[:-1]] == ["1 %", "10 %", "50 %", "100 %"]
    assert section.rows[0][1] == "+30.0 [+30.0, +30.0]"


def test_without_a_seed_that_both_finished_nothing_is_told() -> None:
    known: Any = Known((0.3, 0.1, 0.0, 0.0))
    known.scores = lambda case, arm, metric="": [None, None]
    assert _from(known) == "-"


def test_speeds_are_medians_beside_one_arm() -> None:
    class Run:
        def __init__(self, seconds: float) -> None:
            self.scores, self.seconds, self.metrics = (
                {"test": {"accuracy": [1.0] * 50}},
                {"evaluation": seconds},
                {"parameters": 7},
            )

    known: Any = Known((0.0,) * 4)
    known.finished = lambda case, label: [Run(0.1), Run(0.1), Run(9.0)] if label == "lstm" else [Run(1.0)]
    assert gaps.speeds(known, "pretrained").rows == (("pretrained", "7", "50", "1.0"), ("lstm", "7", "500", "10.0"))
