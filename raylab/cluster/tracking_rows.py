"""What a study and its runs look like in MLflow: names, tags, parameters, metrics, from what the ledger tells.

Nothing here talks to a server. Every metric carries the ledger's own time, so that sending it twice adds nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mlflow.entities import Dataset, DatasetInput, Metric

from raylab.recipe import digest
from raylab.search.flat import flatten
from raylab.search.ledger import Run, Study
from raylab.search.lineage import continues
from raylab.search.measure import Measure
from raylab.search.predicted import own_total, padding_share

KEY, STUDY_ID, STATE = "raylab.key", "raylab.study_id", "raylab.state"
STATUS = {"running": "RUNNING", "finished": "FINISHED", "pruned": "FINISHED", "diverged": "FAILED", "failed": "FAILED"}
MAX_PARAM, MAX_TAG, MAX_NAME = 6000, 8000, 250  # characters that MLflow stores


def study_id(study: Study) -> str:
    """What tells this study from another of the same name on the same server."""
    return digest([study.name, study.created])


def experiment_name(study: Study) -> str:
    """Studies of one space on one dataset stand in one table."""
    return f"raylab/{study.settings.get('space', 'study')}-{study.data.get('name', study.settings.get('dataset', 'data'))}"


def run_name(run: Run) -> str:
    """How a run is called in the table: its trial or seed, and what it is."""
    number = f"trial {run.trial}" if run.role == "explore" and run.trial is not None else f"{run.role} {run.replicate}"
    return f"{number}: {run.label}" if run.label else number


def study_tags(study: Study, state: str) -> dict[str, str]:
    """Tags of the study's own run; its description is the verdict's sentence, under any warning about the data."""
    sentence = (study.verdict or {}).get("sentence", "")
    note = "\n\n".join([*(f"**{warning}**" for warning in study.data.get("warnings", ())), sentence])
    tags = {
        "raylab.study": study.name, STUDY_ID: study_id(study), STATE: state, "raylab.role": "study",
        "raylab.decision": (study.verdict or {}).get("decision"), "mlflow.note.content": note.strip(), **_origin(study),
        "raylab.parent_study": (study.parent or {}).get("name"), "raylab.continues": continues(study),
    }  # fmt: skip
    return _tags({**tags, **_prefixed("environment", study.environment)})


def run_tags(run: Run, study: Study, parent_id: str, state: str) -> dict[str, str]:
    """Tags of one run: whose child it is, who asked for it, and the state it is in."""
    cached = [event["trial"] for event in study.cached if event["key"] == run.key]
    tags = {
        "mlflow.parentRunId": parent_id, KEY: run.key, STUDY_ID: study_id(study), "raylab.study": study.name,
        "raylab.role": run.role, "raylab.trial": run.trial, "raylab.replicate": run.replicate, "raylab.label": run.label,
        STATE: state, "raylab.pruned_at": run.rungs[-1]["fraction"] if run.state == "pruned" and run.rungs else None,
        "raylab.error": _last_line(run.error), "raylab.cached_trials": ", ".join(map(str, cached)), **_origin(study),
    }  # fmt: skip
    return _tags(tags)


def study_params(study: Study) -> dict[str, str]:
    """A study's settings and the data it ran on."""
    return _params({**study.settings, **_prefixed("data", study.data)})


def run_params(run: Run) -> dict[str, str]:
    """A recipe, flattened: stages.0 = denoise, stages.0.policy = span, stages.0.policy.rate = 0.3."""
    return _params(run.recipe)


def data_input(study: Study) -> DatasetInput:
    """The data that a run read, as MLflow's own kind of entry."""
    name, digest = str(study.data.get("name", "data")), str(study.data.get("fingerprint", ""))[:36]  # MLflow's limit
    return DatasetInput(Dataset(name=name, digest=digest, source_type="raylab", source=str(study.data.get("source", ""))))


def curve_metrics(points: list[dict[str, Any]]) -> Iterator[Metric]:
    """What training printed, grouped by stage: denoise/loss, finetune/loss."""
    for point in points:
        for name, value in point.items():
            if name not in ("step", "time") and _is_number(value):
                yield _metric(f"{point.get('stage', 'train')}/{name}", value, point["time"], point["step"])


def rung_metrics(rungs: list[dict[str, Any]]) -> Iterator[Metric]:
    """Scores on the way; the step is the percentage of the recipe that was done."""
    for rung in rungs:
        for name, value in rung["metrics"].items():
            if _is_number(value):
                yield _metric(f"rung/{name}", value, rung["time"], round(100 * rung["fraction"]))


def final_metrics(run: Run, measure: Measure) -> Iterator[Metric]:
    """`score`, by which the table is sorted, of this one seed, and all else that is known at the end.

    A run that did not finish has no score: its last one had a smaller budget, and stands under rung/.
    """
    known = (
        run.metrics if run.state == "finished" else {k: v for k, v in run.metrics.items() if not k.startswith(("dev_", "test_"))}
    )
    figures = {"score": measure.score(run), "n_seeds": None if measure.score(run) is None else 1, **known,
               **_prefixed("seconds", run.seconds, "/"), **_prefixed("memory_bytes", run.memory, "/")}  # fmt: skip
    for name, value in figures.items():
        if _is_number(value):
            yield _metric(name, value, run.ended or run.asked)


def best_so_far(study: Study, measure: Measure) -> list[Metric]:
    """The best of exploration, as it improved: no `score`, which is the winner's on seeds that did not choose it."""
    course = measure.course(study.of_role("explore"))
    return [_metric("best_so_far", best, run.ended or run.asked, step) for step, (run, best) in enumerate(course, start=1)]


def study_metrics(study: Study) -> Iterator[Metric]:
    """The winner's `score` on fresh seeds with its interval, the verdict's figures, trials by state, and what it all cost."""
    verdict = study.verdict or {}
    total = {name: own_total(study, name) for name in ("tokens", "target_tokens", "flops")}
    figures = {
        **_prefixed("verdict", {name: verdict.get(name) for name in ("difference", "low", "high", "seeds")}, "/"),
        **{name: verdict.get(name) for name in ("score", "score_low", "score_high", "n_seeds")},
        **_prefixed("trials", study.counts(), "/"), **total,
        "padding_share": padding_share(study), "seconds/total": round(study.updated - study.created, 1),
    }  # fmt: skip
    for name, value in figures.items():
        if _is_number(value):
            yield _metric(name, value, study.updated)


def _origin(study: Study) -> dict[str, Any]:
    source, fingerprint = study.data.get("source"), study.data.get("fingerprint")
    commit = study.environment.get("commit")
    return {
        "data.source": source,
        "data.fingerprint": fingerprint,
        "mlflow.source.name": "raylab",
        "mlflow.source.git.commit": commit,
    }


def _prefixed(prefix: str, values: Mapping[str, Any], joint: str = ".") -> dict[str, Any]:
    return {f"{prefix}{joint}{name}": value for name, value in values.items()}


def _params(values: Mapping[str, Any]) -> dict[str, str]:
    return {_name(path): _shortened(value, MAX_PARAM) for path, value in flatten(values) if value not in (None, [])}


def _tags(values: Mapping[str, Any]) -> dict[str, str]:
    return {_name(path): _shortened(value, MAX_TAG) for path, value in flatten(values) if value not in (None, "", [])}


def _metric(name: str, value: float, time_s: float, step: int = 0) -> Metric:
    return Metric(_name(name), float(value), round(1000 * time_s), int(step))


def _name(path: str) -> str:
    """`path` in the letters MLflow allows for names."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in path)[:MAX_NAME]


def _shortened(value: Any, limit: int) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _last_line(error: str | None) -> str:
    return error.strip().splitlines()[-1] if error and error.strip() else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
