"""One study's rows in an MLflow store, brought up to what its ledger tells: each run exactly once, in a true state."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while mlflow is imported

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

from raylab.cluster import tracking_rows as rows
from raylab.search.comparison import written as comparison
from raylab.search.ledger import ENDED, Run, Study
from raylab.search.measure import Measure
from raylab.search.report import FILES

HTTP_TIMEOUT_S = 10
METRICS_A_BATCH, PAIRS_A_BATCH = 800, 90  # under MLflow's limits of 1000 metrics, 100 tags, 100 parameters a call


@dataclass(kw_only=True, slots=True)
class Row:
    """What MLflow is known to hold of one run (or of the study)."""

    run_id: str
    status: str
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    points: int = 0
    rungs: int = 0

    def tells(self, state: str) -> bool:
        """Does it end in that state? The status is set last, so nothing is missing then."""
        return self.status == rows.STATUS.get(state, "KILLED") and self.tags.get(rows.STATE) == state and self.status != "RUNNING"


def client(uri: str) -> MlflowClient:
    """A client of the store at `uri` that answers or fails within seconds; an SQLite file is made if it isn't there."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # who calls retries, and looks first what arrived after all
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(HTTP_TIMEOUT_S)
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they log what they raise, and who calls tells that in one line
    if not uri.startswith("sqlite:///"):
        return MlflowClient(tracking_uri=uri)
    path = Path(uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):  # two processes that make the tables at once fail
        return MlflowClient(tracking_uri=uri)


class StudyRows:
    """The rows of one study. Anything may raise when the store is away: make a new object then, it looks first."""

    def __init__(self, uri: str, artifact_root: Path | None, study: Study) -> None:
        self._client = client(uri)
        self._experiment_id = self._experiment(rows.experiment_name(study), artifact_root)
        self._study = self._found_or_made(study)
        self._runs = self._children(study)

    @property
    def run_id(self) -> str:
        """MLflow's id of the study's own run."""
        return self._study.run_id

    def unsent(self, study: Study, over: bool) -> int:
        """How many runs MLflow does not yet show as the ledger tells them."""
        return sum(not self._up_to_date(run, over) for run in begun(study))

    def send(self, study: Study, over: bool) -> list[str]:
        """Bring the runs up to date; `over`: nobody works on the study any more, so none may stay running.

        Returns what MLflow refused, a line each; a refused run does not hold up the others.
        """
        refused = []
        for run in begun(study):
            try:
                self._send_run(run, study, over)
            except MlflowException as error:
                if error.get_http_status_code() >= 500:
                    raise
                refused.append(f"{rows.run_name(run)}: {error.message}")
        self._send_study(study, over)
        return refused

    def send_files(self, folder: Path) -> None:
        """The study's report and what else was made of its ledger, as artifacts of the study."""
        for path in (folder / name for name in (*FILES, *comparison.FILES)):
            if path.is_file():
                self._client.log_artifact(self.run_id, str(path))

    def end(self, study: Study) -> None:
        """The study's own run ends, and what is still running below it: its driver is gone."""
        for key, row in self._runs.items():
            if row.status == "RUNNING":  # refused in part, or of a run that the ledger does not know
                self._end_row(row, _state(study.runs.get(key), over=True), study.updated, tag="incomplete")
        self._tag(self._study, rows.study_tags(study, _study_state(study)))
        self._end_row(self._study, _study_state(study), study.updated)

    def _send_run(self, run: Run, study: Study, over: bool) -> None:
        state = _state(run, over)
        tags = rows.run_tags(run, study, self.run_id, state)
        if run.key not in self._runs:
            began = run.started or run.ended or run.asked
            self._runs[run.key] = self._create(rows.run_name(run), began, {**tags, rows.STATE: "running"})
        row = self._runs[run.key]
        if row.tells(state):
            self._tag(row, tags)
            return
        self._reopen(row)
        self._send_progress(row, run, study)
        if run.state in ENDED:
            self._send_end(row, run, Measure.of(study))
        self._tag(row, tags)
        if state != "running":
            self._end_row(row, state, run.ended or study.updated)

    def _send_progress(self, row: Row, run: Run, study: Study) -> None:
        self._describe(row, rows.run_params(run), study)
        points, rungs = len(run.curve), len(run.rungs)
        self._log(row, [*rows.curve_metrics(run.curve[row.points :]), *rows.rung_metrics(run.rungs[row.rungs :])])
        row.points, row.rungs = points, rungs

    def _send_end(self, row: Row, run: Run, measure: Measure) -> None:
        self._log(row, list(rows.final_metrics(run, measure)))
        self._client.log_dict(row.run_id, run.recipe, "recipe.json")
        if run.error:
            self._client.log_text(row.run_id, run.error, "traceback.txt")

    def _send_study(self, study: Study, over: bool) -> None:
        row = self._study
        if not over:
            self._reopen(row)
        course = rows.best_so_far(study, Measure.of(study))
        self._describe(row, rows.study_params(study), study)
        self._log(row, course[row.points :])
        row.points = len(course)
        if over:
            self._log(row, list(rows.study_metrics(study)))
        else:
            self._tag(row, rows.study_tags(study, "running"))

    def _experiment(self, name: str, artifact_root: Path | None) -> str:
        """The id of the experiment, made if it isn't there, and brought back if somebody deleted it."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name, artifact_root.resolve().as_uri() if artifact_root else None)
            except MlflowException as error:
                if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                    raise
                return self._experiment(name, artifact_root)  # another study made it just now
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _found_or_made(self, study: Study) -> Row:
        tag = f"tags.`{rows.STUDY_ID}` = '{rows.study_id(study)}'"
        found = self._unique(f"{tag} and tags.`raylab.role` = 'study'", "raylab.role")
        tags = rows.study_tags(study, "running")
        return next(iter(found.values()), None) or self._create(study.name, study.created, tags)

    def _children(self, study: Study) -> dict[str, Row]:
        return self._unique(f"tags.`mlflow.parentRunId` = '{self.run_id}'", rows.KEY)

    def _unique(self, filter_string: str, tag: str) -> dict[str, Row]:
        """The runs a filter finds, by a tag. A second one of the same tag, left by an answer that was lost, is deleted."""
        found: dict[str, Row] = {}
        for run in self._search(filter_string):
            if run.data.tags[tag] in found:
                self._client.delete_run(run.info.run_id)
            else:
                tags, params = dict(run.data.tags), dict(run.data.params)
                found[tags[tag]] = Row(run_id=run.info.run_id, status=run.info.status, tags=tags, params=params)
        return found

    def _search(self, filter_string: str) -> Iterator[Any]:
        pages: list[str | None] = [None]
        while pages:
            page = self._client.search_runs(
                [self._experiment_id],
                filter_string,
                max_results=500,
                order_by=["attributes.start_time ASC"],
                page_token=pages.pop(),
            )
            pages.extend([page.token] if page.token else [])
            yield from page

    def _create(self, name: str, began: float, tags: Mapping[str, str]) -> Row:
        made = self._client.create_run(self._experiment_id, round(1000 * began), dict(tags), name)
        return Row(run_id=made.info.run_id, status="RUNNING", tags=dict(tags))

    def _reopen(self, row: Row) -> None:
        if row.status != "RUNNING":
            self._client.update_run(row.run_id, status="RUNNING")
            row.status = "RUNNING"

    def _end_row(self, row: Row, state: str, ended: float, tag: str = "") -> None:
        self._tag(row, {rows.STATE: tag or state})
        row.status = rows.STATUS.get(state, "KILLED")
        self._client.set_terminated(row.run_id, row.status, round(1000 * ended))

    def _tag(self, row: Row, tags: Mapping[str, str]) -> None:
        changed = {name: value for name, value in tags.items() if row.tags.get(name) != value}
        for part in _parts(changed.items(), PAIRS_A_BATCH):
            self._client.log_batch(row.run_id, tags=[RunTag(*pair) for pair in part])
        row.tags |= changed

    def _describe(self, row: Row, params: Mapping[str, str], study: Study) -> None:
        """Send the parameters that aren't there (MLflow lets none change), and before them the data they go with."""
        missing = {name: value for name, value in params.items() if name not in row.params}
        if missing:
            self._client.log_inputs(row.run_id, datasets=[rows.data_input(study)])
        for part in _parts(missing.items(), PAIRS_A_BATCH):
            self._client.log_batch(row.run_id, params=[Param(*pair) for pair in part])
        row.params |= missing

    def _log(self, row: Row, metrics: Iterable[Metric]) -> None:
        for batch in _parts(metrics, METRICS_A_BATCH):
            self._client.log_batch(row.run_id, metrics=batch)

    def _up_to_date(self, run: Run, over: bool) -> bool:
        row = self._runs.get(run.key)
        if row is None:
            return False
        state = _state(run, over)
        return row.tells(state) if state != "running" else row.points == len(run.curve) and row.rungs == len(run.rungs)


def begun(study: Study) -> list[Run]:
    """The runs that MLflow is to show: what a study took over stands there already, below the study that ran it."""
    return [run for run in list(study.runs.values()) if run.state != "waiting" and not run.origin]  # another thread may ask


def _state(run: Run | None, over: bool) -> str:
    if run is not None and run.state in ENDED:
        return run.state
    return "interrupted" if over else "running"


def _study_state(study: Study) -> str:
    if study.verdict:
        return "finished"
    states = {run.state for run in study.runs.values()}
    return "failed" if states and states <= {"failed", "diverged", "pruned"} else "interrupted"


def _parts(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    everything = list(items)
    yield from (everything[i : i + size] for i in range(0, len(everything), size))
