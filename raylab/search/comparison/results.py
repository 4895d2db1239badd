"""What a comparison found, from its ledger: every arm's own score, and the paired differences that answer the question."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.search.comparison.conduct import Comparing, chosen_recipe
from raylab.search.comparison.declared import Case, Contrast
from raylab.search.ledger import Run
from raylab.verdict.decision import decide, sentence
from raylab.verdict.paired import Estimate, Scores, estimate, paired_difference
from raylab.verdict.several import Tested, several

USED = ("tokens", "target_tokens", "flops", "parameters")  # of a run's metrics, beside its scores


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A table that a study makes of its scores. note: what it says and does not say."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Results:
    """The scores of a comparison, for what a study derives from them."""

    def __init__(self, comparing: Comparing) -> None:
        self._comparing = comparing
        self.cases: tuple[Case, ...] = comparing.cases
        self.reference = comparing.comparison.reference

    def arms(self, case: Case) -> list[str]:
        """Labels, in the order of the study's file."""
        return self._comparing.labels(case)

    def metric(self, case: Case) -> str:
        """The measure that compares the arms of a case."""
        return self._comparing.metric(case)

    def scores(self, case: Case, arm: str, metric: str = "") -> Scores:
        """By seed, a score of every test example; None for a seed whose run did not finish."""
        return self._comparing.scores(case, arm, metric)

    def finished(self, case: Case, arm: str) -> list[Run]:
        """The runs of an arm that ended well."""
        return [run for run in self._comparing.ran(case, arm) if run.state == "finished"]

    def estimate(self, case: Case, arm: str) -> Estimate:
        """The arm's own score with its interval."""
        return estimate(self.scores(case, arm))

    def difference(self, case: Case, arm: str, against: str) -> Estimate:
        """Arm minus the other, seed by seed and example by example, with an interval of 95 % on its own."""
        return paired_difference(self.scores(case, arm), self.scores(case, against))


def conclude(comparing: Comparing) -> dict[str, Any]:
    """The results so far as plain JSON values, None where there is no figure; in the place of a search's verdict."""
    results = Results(comparing)
    contrasts = _contrasts(comparing, results)
    derived = comparing.comparison.derived
    first = comparing.cases[0]
    return {
        "study": comparing.comparison.name,
        "question": comparing.comparison.question,
        "background": comparing.comparison.background,
        "metric": comparing.metric(first),
        "higher_is_better": HIGHER_IS_BETTER[comparing.metric(first)],
        "decision": "compared",
        "sentence": _summary(contrasts),
        "runs": {"asked": len(comparing.comparing()), "ended": comparing.phase().done},
        "reference": results.reference,
        "x": comparing.comparison.x,
        "seeds": comparing.seeds,
        "cases": [_case(comparing, results, case) for case in comparing.cases],
        "beside": contrasts,
        "derived": [asdict(section) for section in derived(results)] if derived else [],
    }


def _case(comparing: Comparing, results: Results, case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "metric": comparing.metric(case),
        "higher_is_better": HIGHER_IS_BETTER[comparing.metric(case)],
        "x": case.x,
        "kinds": list(case.kinds),
        "arms": [_arm(comparing, results, case, name) for name in results.arms(case)],
    }


def _arm(comparing: Comparing, results: Results, case: Case, name: str) -> dict[str, Any]:
    runs = comparing.ran(case, name)
    scores, found = results.scores(case, name), results.estimate(case, name)
    against = results.difference(case, name, results.reference)
    return {
        "label": name,
        "recipe": chosen_recipe(comparing, case, name),
        "keys": [run.key for run in runs],
        "values": [mean(row) if row else None for row in scores],
        "mean": found.mean,
        **found.as_json(),
        "against_reference": {"difference": against.mean, **against.as_json()},
        "measures": _measures(runs),
        "used": _used(runs),
        "failures": [f"seed {run.replicate} {run.state}{_reason(run)}" for run in runs if run.state != "finished"],
    }


def _reason(run: Run) -> str:
    lines = (run.error or "").strip().splitlines()
    return f" ({lines[-1]})" if lines else ""


def _measures(runs: Sequence[Run]) -> dict[str, float]:
    """All measures on test, each a mean over the seeds that finished."""
    finished = [run.metrics for run in runs if run.state == "finished"]
    names = [name for name in HIGHER_IS_BETTER if any(f"test_{name}" in metrics for metrics in finished)]
    return {name: mean(metrics[f"test_{name}"] for metrics in finished if f"test_{name}" in metrics) for name in names}


def _used(runs: Sequence[Run]) -> dict[str, float]:
    """What a model of the arm has used, on average, whichever run trained what runs share."""
    finished = [{**_with_reused(run.metrics), "seconds": run.seconds.get("total")} for run in runs if run.state == "finished"]
    known = {name: [value for m in finished if (value := m.get(name)) is not None] for name in (*USED, "seconds")}
    return {name: mean(values) for name, values in known.items() if values}


def _with_reused(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value + metrics.get(f"reused_{name}", 0) for name, value in metrics.items()}


def _contrasts(comparing: Comparing, results: Results) -> list[dict[str, Any]]:
    """Every contrast of every case; all of them together err in 5 % of the cases."""
    asked = [(case, pair) for case in comparing.cases for pair in comparing.comparison.pairs(case, results.arms(case))]
    tested = several([(results.scores(case, pair.arm), results.scores(case, pair.against)) for case, pair in asked])
    return [_told(case, comparing.metric(case), pair, one, len(asked)) for (case, pair), one in zip(asked, tested, strict=True)]


def _told(case: Case, metric: str, pair: Contrast, tested: Tested, of: int) -> dict[str, Any]:
    better = HIGHER_IS_BETTER[metric]
    note = ", adjusted for the other comparisons (Holm)" if of > 1 and tested.p is not None else ""
    return {
        "case": case.name,
        "label": pair.arm,
        "against": pair.against,
        "metric": metric,
        "difference": tested.difference.mean,
        **tested.difference.as_json(),
        "p": tested.p,
        "decision": decide(tested.difference, better),
        "sentence": f"{case.name}: {sentence(pair.arm, pair.against, tested.difference, metric, better)}{note}.",
    }


def _summary(contrasts: Sequence[Mapping[str, Any]]) -> str:
    """How many contrasts came out which way."""
    counts = {name: sum(row["decision"] == name for row in contrasts) for name in ("better", "worse", "no_reliable_difference")}
    undecided = len(contrasts) - sum(counts.values())
    parts = [
        f"{counts['better']} better", f"{counts['worse']} worse", f"{counts['no_reliable_difference']} not told apart",
        *([f"{undecided} without enough seeds"] if undecided else []),
    ]  # fmt: skip
    return f"{len(contrasts)} paired contrast{'s' * (len(contrasts) != 1)}: {', '.join(parts)}."
