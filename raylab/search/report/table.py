"""The runs of a study as rows, best first: for the page, and as a CSV file."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from raylab.data.scoring import HIGHER_IS_BETTER
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
    estimates, beside = measure.estimates(list(study.runs.values())), measures_beside(study)
    found = [_row(run, measure, beside, estimates.get(run.key)) for run in study.runs.values()]
    return sorted(found, key=lambda row: (row["score"] is None, sign * (row["score"] or 0.0)))


def measures_beside(study: Study) -> list[str]:
    """The measures that runs have beside the one that decides."""
    told = {name for run in study.runs.values() for name in run.metrics}
    decides = Measure.of(study).name
    return [name for name in HIGHER_IS_BETTER if name != decides and told & {f"dev_{name}", f"test_{name}"}]


def with_values(study: Study) -> list[dict[str, Any]]:
    """The rows with their seconds by part, and all that the space drew, under a name a choice."""
    return [
        {**row, **_parts(study.runs[row["key"]]), **dict(flatten(study.runs[row["key"]].values, "values"))} for row in rows(study)
    ]


def _parts(run: Run) -> dict[str, float]:
    """Its seconds, part by part."""
    return {f"seconds.{part}": taken for part, taken in run.seconds.items() if part != "total"}


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


def spent(study: Study, *roles: str) -> dict[str, float]:
    """Seconds by part, of all runs of these roles that this study ran itself."""
    parts: Counter[str] = Counter()
    for run in study.of_role(*roles):
        if not run.origin:
            parts.update({part: taken for part, taken in run.seconds.items() if part != "total"})
    return dict(parts)


def _row(run: Run, measure: Measure, beside: Iterable[str], standing: Standing | None) -> dict[str, Any]:
    done = run.metrics if run.state == "finished" else {}
    return {
        "role": run.role, "trial": run.trial, "replicate": run.replicate, "policy": policy_of(run), "label": run.label,
        "state": run.state, "dev": measure.score(run), **figures(standing), "test": done.get(f"test_{measure.name}"),
        **{name: done.get(f"test_{name}", done.get(f"dev_{name}")) for name in beside},
        "tokens": run.metrics.get("tokens"), "reused_tokens": run.metrics.get("reused_tokens"),
        "seconds": run.seconds.get("total"), "memory": run.memory.get("host"), "key": run.key,
        "origin": run.origin,
    }  # fmt: skip
