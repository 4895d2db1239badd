"""The runs of a study as rows, best first: for the page, and as a CSV file."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from raylab.search.flat import flatten
from raylab.search.ledger import Run, Study
from raylab.search.measure import Measure, figures
from raylab.verdict.selection import Standing


def policy_of(run: Run) -> str:
    """What a run's trials are coloured by: the masking policy of its first stage that has one, else its first stage."""
    stages = [stage for stage in run.recipe.get("stages", ()) if isinstance(stage, Mapping)]
    policies = [
        stage["policy"].get("learner") or stage["policy"]["name"] for stage in stages if isinstance(stage.get("policy"), Mapping)
    ]
    return str(next(iter([*policies, *(stage.get("name", "?") for stage in stages)]), "none"))


def rows(study: Study) -> list[dict[str, Any]]:
    """A row a run. dev: its own figure, of one seed, where it finished. score, score_low, score_high, n_seeds: the estimate for
    its recipe over all seeds that this one and others ran on. The best estimate comes first."""
    measure = Measure.of(study)
    sign = -1 if measure.higher_is_better else 1
    estimates = measure.estimates(list(study.runs.values()))
    found = [_row(run, measure, estimates.get(run.key)) for run in study.runs.values()]
    return sorted(found, key=lambda row: (row["score"] is None, sign * (row["score"] or 0.0)))


def with_values(study: Study) -> list[dict[str, Any]]:
    """The rows with all that the space drew, under a name a choice."""
    return [{**row, **dict(flatten(study.runs[row["key"]].values, "values"))} for row in rows(study)]


def as_csv(study: Study) -> str:
    """The rows with what was drawn, in a column a choice."""
    found = with_values(study)
    columns = list(dict.fromkeys(column for row in found for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def total(runs: Iterable[Run], name: str) -> float:
    """The sum of a metric over runs, those without it left out."""
    return sum(run.metrics.get(name) or 0.0 for run in runs)


def _row(run: Run, measure: Measure, standing: Standing | None) -> dict[str, Any]:
    done = run.metrics if run.state == "finished" else {}
    return {
        "role": run.role, "trial": run.trial, "replicate": run.replicate, "policy": policy_of(run), "label": run.label,
        "state": run.state, "dev": measure.score(run), **figures(standing), "test": done.get(f"test_{measure.name}"),
        "exact_match": done.get("test_exact_match", done.get("dev_exact_match")), "f1": done.get("test_f1", done.get("dev_f1")),
        "tokens": run.metrics.get("tokens"), "seconds": run.seconds.get("total"), "key": run.key,
        "origin": run.origin,
    }  # fmt: skip
