"""The table of a comparison, its derived figures and its files."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylab.errors import UserError
from raylab.search.comparison import derived, written
from raylab.search.comparison.conduct import Comparing, conduct
from raylab.search.comparison.declared import Contrast
from raylab.search.comparison.results import Results, Section, conclude
from raylab.search.ledger import Study
from tests.search.comparison.study_file import CASES, comparing_in
from tests.search.small_study import FakeRunner


def _ran(folder: Path, luck: float = 0.05, **fields: Any) -> Comparing:
    """A comparison whose runs have ended, its verdict in the ledger."""
    comparing, ledger = comparing_in(folder, **fields)
    conduct(comparing, contextlib.nullcontext(FakeRunner(ledger, comparing.study, luck=luck)))
    comparing.study.apply(ledger.append("verdict", verdict=conclude(comparing)))
    return comparing


def test_differences_are_paired_and_told_where_they_are_there(tmp_path: Path) -> None:
    verdict = conclude(_ran(tmp_path / "study"))
    assert [(row["label"], row["against"], row["decision"]) for row in verdict["beside"]] == [
        ("none", "uniform", "worse"),
        ("salient", "uniform", "better"),
    ]
    assert "salient beats uniform by 4.0" in verdict["beside"][1]["sentence"]
    assert verdict["sentence"] == "2 paired contrasts: 1 better, 1 worse, 0 not told apart."
    none = next(arm for arm in verdict["cases"][0]["arms"] if arm["label"] == "none")
    assert len(none["values"]) == 3
    assert none["against_reference"]["difference"] == pytest.approx(3.0, abs=0.2)


def test_a_null_result_is_said_as_such(tmp_path: Path) -> None:
    verdict = conclude(_ran(tmp_path / "study", luck=30.0))
    assert {row["decision"] for row in verdict["beside"]} == {"no_reliable_difference"}
    assert "can't be told apart" in verdict["beside"][0]["sentence"]


def test_contrasts_of_a_study_are_tested_together(tmp_path: Path) -> None:
    one = conclude(_ran(tmp_path / "a", contrasts=lambda case, labels: [Contrast(arm="salient", against="uniform")]))
    two = conclude(_ran(tmp_path / "b"))
    alone, among = one["beside"][0], next(row for row in two["beside"] if row["label"] == "salient")
    assert alone["difference"] == among["difference"]
    assert alone["p"] <= among["p"]


def test_a_contrast_that_names_no_arm_is_told(tmp_path: Path) -> None:
    comparing, _ = comparing_in(tmp_path / "study", contrasts=lambda case, labels: [Contrast(arm="salent", against="none")])
    with pytest.raises(UserError, match="Did you mean 'salient'"):
        conclude(comparing)


def test_files_are_written_from_the_ledger_alone(tmp_path: Path) -> None:
    _ran(tmp_path / "study", derived=lambda results: [Section(title="More", columns=("a", "b"), rows=(("1", "2"),))])
    page = written.write(tmp_path / "study").read_text()
    assert page.startswith("# Which is best?\n")
    assert "- **first: salient beats uniform by 4.0" in page
    assert "## More" in page and "| 1 | 2 |" in page
    assert "DATA/invented" in page and "/somewhere" not in page
    table = json.loads((tmp_path / "study" / written.TABLE).read_text())
    assert table["cases"][0]["arms"][0]["label"] == "uniform"
    figure = (tmp_path / "study" / written.FIGURE).read_bytes()
    written.write(tmp_path / "study")
    assert (tmp_path / "study" / written.FIGURE).read_bytes() == figure, "the same results give the same figure"
    assert written.is_comparison(Study.read(tmp_path / "study"))


def test_cases_along_an_axis_are_drawn_as_curves(tmp_path: Path) -> None:
    cases = tuple(replace(CASES[0], name=f"{n} labels", x=float(n)) for n in (10, 100, 1000))
    _ran(tmp_path / "study", cases=lambda asked: cases, x="labels")
    figure = written.write(tmp_path / "study").with_name(written.FIGURE).read_text()
    assert ">labels<" in figure


def test_a_study_without_a_result_says_so(tmp_path: Path) -> None:
    comparing_in(tmp_path / "study")
    assert "No result yet" in written.write(tmp_path / "study").read_text()


def test_a_study_that_was_stopped_says_how_far_it_came(tmp_path: Path) -> None:
    comparing, ledger = comparing_in(tmp_path / "study")
    with contextlib.suppress(KeyboardInterrupt):
        conduct(comparing, contextlib.nullcontext(FakeRunner(ledger, comparing.study, limit=7)))
    ledger.append("verdict", verdict=conclude(comparing))
    page = written.write(tmp_path / "study").read_text()
    assert "**Not complete**: 7 of 9 runs have ended" in page
    assert "2 paired seeds" in page


def test_benefit_is_the_share_of_what_the_whole_gains(tmp_path: Path) -> None:
    results = Results(_ran(tmp_path / "study"))
    share = derived.benefit(results, CASES[0], "uniform", none="none", whole="salient")
    assert share.value is not None and share.low is not None and share.high is not None
    assert share.value == pytest.approx(3 / 7, abs=0.05)
    assert share.low <= share.value <= share.high
    assert derived.benefit(results, CASES[0], "salient", none="none", whole="salient").value == pytest.approx(1.0)


def test_benefit_is_not_defined_where_there_is_nothing_to_gain(tmp_path: Path) -> None:
    results = Results(_ran(tmp_path / "study", luck=30.0))
    assert derived.benefit(results, CASES[0], "uniform", none="none", whole="salient").percent() == "not defined"


def test_a_gain_that_three_seeds_cannot_tell_from_nothing_has_no_shares() -> None:
    """All of them gained, so that no draw of seeds loses; but so unlike that others may."""

    class Known:
        cases = CASES

        def scores(self, case: Any, arm: str, metric: str = "") -> list[list[float]]:
            return [[{"none": 0.0, "arm": 0.1, "whole": gain}[arm]] * 4 for gain in (0.1, 0.5, 2.5)]

    assert derived.benefit(Known(), CASES[0], "arm", none="none", whole="whole").value is None  # type: ignore[arg-type]


def test_ratios_over_cases_are_averaged_both_ways() -> None:
    """Two cases, of which the larger one keeps less: 1/2 and 1/4 of gains of 2 and 8."""

    class Known:
        cases = (CASES[0], replace(CASES[0], name="second"))

        def metric(self, case: Any) -> str:
            return "bits_per_answer"

        def scores(self, case: Any, arm: str, metric: str = "") -> list[list[float]]:
            whole, share = {"first": (2.0, 0.5), "second": (8.0, 0.25)}[case.name]
            return [[{"none": 0.0, "arm": share * whole, "whole": whole}[arm]] * 4] * 3

    section = derived.benefits(Known(), ["arm"], none="none", whole="whole")  # type: ignore[arg-type]
    assert section.columns == ("arm", "first", "second", "mean of ratios", "ratio of means")
    assert section.rows[0][1:] == ("50 % [50, 50]", "25 % [25, 25]", "38 % [38, 38]", "30 % [30, 30]")


def test_the_bootstrap_knows_of_seeds_and_of_examples() -> None:
    """Its interval covers what crossed noise of seeds and examples does, about as often as it should."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        seed_S1, example_Q = rng.normal(0, 0.3, (6, 1)), rng.normal(0, 1.0, 40)
        noise = {arm: rng.normal(0, 0.3, (6, 40)) for arm in ("none", "arm", "whole")}
        gain = {"none": 0.0, "arm": 2.0, "whole": 4.0}
        tables = {arm: gain[arm] * (1 + 0.2 * (seed_S1 + example_Q)) + noise[arm] for arm in gain}

        class Known:
            cases = CASES

            def scores(self, case: Any, arm: str, metric: str = "", tables: Any = tables) -> list[list[float]]:
                return [list(map(float, row)) for row in tables[arm]]

        share = derived.benefit(Known(), CASES[0], "arm", none="none", whole="whole")  # type: ignore[arg-type]
        assert share.low is not None and share.high is not None
        covered += share.low <= 0.5 <= share.high
    assert covered >= 52


def test_what_a_model_used_counts_what_another_run_trained_of_it(tmp_path: Path) -> None:
    class Sharing(FakeRunner):
        def used(self, request: Any) -> dict[str, float]:
            return {"tokens": 10.0, "reused_tokens": 90.0} if request.replicate > 1 else {"tokens": 100.0, "reused_tokens": 0.0}

    comparing, ledger = comparing_in(tmp_path / "study")
    conduct(comparing, contextlib.nullcontext(Sharing(ledger, comparing.study)))
    assert {arm["used"]["tokens"] for arm in conclude(comparing)["cases"][0]["arms"]} == {100.0}
