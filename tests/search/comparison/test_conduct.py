"""What a comparison runs, and in which order, from its ledger."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from raylab.data.source import DataRequest
from raylab.errors import UserError
from raylab.recipe import Recipe
from raylab.search.comparison.conduct import conduct
from raylab.search.comparison.declared import At, Case, Grid
from raylab.search.ledger import Study
from tests.search.comparison.study_file import CASES, arms, comparing_in, recipe
from tests.search.small_study import FakeRunner

TWO = (*CASES, Case(name="second", data=DataRequest(dataset="invented")))


def test_every_arm_runs_with_every_seed_and_all_arms_share_it(tmp_path: Path) -> None:
    comparing, ledger = comparing_in(tmp_path / "study")
    runner = FakeRunner(ledger, comparing.study)
    conduct(comparing, contextlib.nullcontext(runner))
    runs = list(comparing.study.runs.values())
    assert [(run.values["arm"], run.replicate) for run in runs] == [
        (arm, seed) for seed in (1, 2, 3) for arm in ("uniform", "none", "salient")
    ]
    assert all(run.role == "compare" for run in runs)
    requests = comparing.comparing()
    assert {(request.replicate, request.seeds) for request in requests} == {(s, comparing.seeds_of(s)) for s in (1, 2, 3)}
    assert not comparing.due()


def test_a_study_that_stopped_does_only_what_is_still_due(tmp_path: Path) -> None:
    comparing, ledger = comparing_in(tmp_path / "study")
    first = FakeRunner(ledger, comparing.study, limit=4)
    with contextlib.suppress(KeyboardInterrupt):
        conduct(comparing, contextlib.nullcontext(first))
    ledger.close()
    again, ledger = comparing_in(tmp_path / "study")
    second = FakeRunner(ledger, again.study)
    conduct(again, contextlib.nullcontext(second))
    assert len(first.ran) == 4
    assert len(second.ran) == 5
    assert not set(first.ran) & set(second.ran)


def test_equal_runs_of_two_cases_run_once(tmp_path: Path) -> None:
    comparing, _ = comparing_in(tmp_path / "study", cases=lambda asked: TWO)
    assert len(comparing.comparing()) == 9
    assert comparing.scores(TWO[1], "none") == [None, None, None]


def _with_grid(at: At) -> Mapping[str, Recipe | Grid]:
    return {**arms(at), "salient": Grid(recipes=tuple(recipe("salient", rate) for rate in (0.02, 0.004, 0.01)))}  # type: ignore[dict-item]


def test_a_grid_is_chosen_from_on_dev_with_a_seed_of_its_own(tmp_path: Path) -> None:
    comparing, ledger = comparing_in(tmp_path / "study", arms=_with_grid)
    assert comparing.phase().name == "Choose"
    choosing = comparing.due()
    assert [(r.role, r.replicate, r.splits) for r in choosing] == [("choose", 0, ("dev",))] * 3
    conduct(comparing, contextlib.nullcontext(FakeRunner(ledger, comparing.study)))
    assert comparing.chosen(CASES[0], "salient") == 1
    compared = [run for run in comparing.study.runs.values() if run.role == "compare"]
    assert len(compared) == 9
    assert comparing.phase().left == 0


def test_arms_are_asked_for_once_a_seed(tmp_path: Path) -> None:
    asked: list[int] = []

    def counted(at: At) -> Mapping[str, Recipe]:
        asked.append(at.replicate)
        return arms(at)  # type: ignore[return-value]

    comparing, _ = comparing_in(tmp_path / "study", arms=counted)
    comparing.comparing(), comparing.due(), comparing.phase()
    assert sorted(asked) == [1, 2, 3]


def test_what_ended_badly_leaves_its_seed_out(tmp_path: Path) -> None:
    comparing, ledger = comparing_in(tmp_path / "study")
    fails = FakeRunner(ledger, comparing.study, fails=lambda r: r.values["arm"] == "salient" and r.replicate == 2)
    conduct(comparing, contextlib.nullcontext(fails))
    assert [row is None for row in comparing.scores(CASES[0], "salient")] == [False, True, False]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cases": lambda asked: ()}, "gives no case"),
        ({"cases": lambda asked: (*CASES, *CASES)}, "two cases the name 'first'"),
        ({"cases": lambda asked: (replace(CASES[0], metric="bleu"),)}, "measure of the case first 'bleu'"),
        ({"reference": "unifrom"}, "reference arm of invented.py 'unifrom'. Did you mean 'uniform'?"),
        (
            {"arms": lambda at: {"uniform": recipe("uniform"), f"seed {at.replicate}": recipe("none")}},
            "other arms with another seed",
        ),
    ],
)
def test_a_study_that_does_not_fit_together_is_told_before_compute(tmp_path: Path, fields: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        comparing_in(tmp_path / "study", **fields)[0].comparing()


def test_the_ledger_alone_tells_what_was_compared(tmp_path: Path) -> None:
    comparing, ledger = comparing_in(tmp_path / "study")
    conduct(comparing, contextlib.nullcontext(FakeRunner(ledger, comparing.study)))
    assert Study.read(tmp_path / "study").runs.keys() == comparing.study.runs.keys()
