"""MLflow as a mirror of the ledger: one thread in the driver replays it, so training never waits for a server.

An outage loses nothing: what MLflow has not taken is in the ledger, and a later replay (of a resumed study, or of
`raylab report`) sends it. Nothing is doubled: rows are looked up by their tags first, and metrics carry the ledger's
times. A lock in the study's folder lets one process replay at a time.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from filelock import FileLock, Timeout
from mlflow.exceptions import MlflowException

from raylab.cluster.tracking_store import HTTP_TIMEOUT_S, StudyRows, begun, client
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.errors import UserError
from raylab.redaction import without_secrets
from raylab.search.follow import Follower
from raylab.search.ledger import FILE

POLL_S = 1.0
BACKOFF_S = (1.0, 30.0)  # first and longest wait after a failure


@dataclass(frozen=True, kw_only=True, slots=True)
class Flush:
    """How a mirror ended. unsent: runs that MLflow does not show as the ledger tells them. trouble: why, if known."""

    uri: str
    unsent: int
    trouble: str = ""

    @property
    def complete(self) -> bool:
        """Does MLflow hold everything?"""
        return not self.unsent and not self.trouble

    @property
    def place(self) -> str:
        """MLflow's address, as it may be shown."""
        return without_secrets(self.uri)

    @property
    def line(self) -> str:
        """What a person should know, in one line; empty if all is well."""
        if self.complete:
            return ""
        runs = f"{self.unsent} run{'' if self.unsent == 1 else 's'}"
        reason = f" ({without_secrets(self.trouble)})" if self.trouble else ""
        return f"MLflow at {self.place} lacks {runs} or the report{reason}. Nothing is lost: `raylab report` sends the rest."


class Mirror:
    """Replays the ledger of `folder` into MLflow at `tracking_uri`, from `start` to `close`, in a thread.

    artifact_root: where the artifacts of a store without a server lie; with a server it is the server's to say.
    """

    def __init__(self, folder: Path, tracking_uri: str, artifact_root: Path | None = None, *, poll_s: float = POLL_S) -> None:
        self.folder, self.tracking_uri, self._poll_s = folder, tracking_uri, poll_s
        self._artifact_root = None if is_server(tracking_uri) else artifact_root or folder.parent / "artifacts"
        self._follower = Follower(folder)
        self._rows: StudyRows | None = None
        self._look_again = True
        self._closing, self._ended = threading.Event(), False
        self._thread = threading.Thread(target=self._follow, name="mlflow-mirror", daemon=True)
        self._run_id: str | None = None
        self._trouble = ""

    def start(self) -> None:
        """Begin to follow the ledger. Returns at once, whatever the server does."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> Flush:
        """End every row, send the report, stop; after `timeout_s` leave the rest to a later replay. Never raises."""
        self._closing.set()
        self._thread.join(timeout_s)
        return self._flush()

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the study's own run, once it is known."""
        return self._run_id

    @property
    def trouble(self) -> str:
        """Why the last attempt failed, in one line; empty if it did not."""
        return self._trouble

    @property
    def unsent(self) -> int:
        """How many runs MLflow does not yet show as the ledger tells them."""
        study, rows = self._follower.study, self._rows
        if study is None or self._ended:
            return 0
        return len(begun(study)) if rows is None else rows.unsent(study, over=self._closing.is_set())

    def _follow(self) -> None:
        wait_s, lock = self._poll_s, FileLock(self.folder / "tracking.lock")
        while True:
            over = self._closing.is_set()  # read before the ledger is, so that the last pass sees its last line
            done = self._attempt(lock, over)
            if over:
                break
            wait_s = self._poll_s if done else min(max(2 * wait_s, BACKOFF_S[0]), BACKOFF_S[1])
            self._closing.wait(wait_s)
        lock.release(force=True)

    def _attempt(self, lock: FileLock, over: bool) -> bool:
        try:
            lock.acquire(timeout=0)
            self._send(over)
        except Timeout:
            self._trouble = "another process is sending this study"
        except Exception as error:  # whatever a store or a server raises: tracking must never end a search
            self._trouble = _one_line(error)
            self._look_again = True  # what is there: an answer may have been lost
        return not self._trouble

    def _send(self, over: bool) -> None:
        changed = self._follower.read()
        study = self._follower.study
        if study is None or not (changed or over or self._trouble):
            return
        if self._rows is None or self._look_again:
            self._rows, self._look_again = StudyRows(self.tracking_uri, self._artifact_root, study), False
            self._run_id = self._rows.run_id
        refused = self._rows.send(study, over)
        if over:
            self._rows.send_files(self.folder)
            self._rows.end(study)
        self._trouble = refused[0] if refused else ""
        self._ended = over and not refused

    def _flush(self) -> Flush:
        slow = "" if self._ended else "it is slow to answer"
        return Flush(uri=self.tracking_uri, unsent=self.unsent, trouble=self._trouble or slow)


def replay(folder: Path, tracking_uri: str, artifact_root: Path | None = None) -> Flush:
    """Send all that MLflow lacks of a study that nobody works on; returns when it is done, or at the first failure.

    Raises UserError if there is no study in `folder`.
    """
    if not (folder / FILE).is_file():
        raise UserError(f"no study at {folder}: {FILE} is missing. `raylab list` shows the studies there are.")
    mirror = Mirror(folder, tracking_uri, artifact_root)
    mirror._closing.set()
    mirror._follow()
    return mirror._flush()


def default_uri(storage: Path) -> str:
    """MLFLOW_TRACKING_URI, or an SQLite file beside the results."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(storage / 'mlflow.db').resolve()}"


def check_tracking(uri: str, *, must_answer: bool = True) -> None:
    """Raises UserError within seconds if the store at `uri` is of a kind that raylab can't use, or does not answer."""
    if "://" not in uri or uri.startswith("file:"):
        raise UserError(
            f"MLflow's tracking URI is {uri!r}; expected a server (http://HOST:PORT) or a database (sqlite:///FILE): "
            "MLflow no longer writes plain folders. Set MLFLOW_TRACKING_URI, or unset it."
        )
    if not must_answer:
        return
    began = time.monotonic()
    try:
        client(uri).search_experiments(max_results=1)
    except (MlflowException, OSError) as error:
        raise UserError(
            f"MLflow at {uri} does not answer ({_one_line(error)}, after {time.monotonic() - began:.0f} s of at most "
            f"{HTTP_TIMEOUT_S}). Start it, or unset MLFLOW_TRACKING_URI to track into a file beside the results."
        ) from error


def table_address(server: str, uri: str) -> str:
    """Where the UI of `server`, over the store at `uri`, shows the newest study's runs, the best at the top."""
    store = client(uri)
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    newest = store.search_runs(
        experiments, "tags.`raylab.role` = 'study'", max_results=1, order_by=["attributes.start_time DESC"]
    )
    if not newest:
        return server
    lower_first = str(not HIGHER_IS_BETTER.get(newest[0].data.params.get("metric", ""), False)).lower()
    query = urlencode({"workflowType": "machine_learning", "orderByKey": "metrics.`score`", "orderByAsc": lower_first})
    return f"{server}/#/experiments/{newest[0].info.experiment_id}/runs?{query}"


def is_server(uri: str) -> bool:
    """Is it a server's address, and not a database?"""
    return uri.startswith(("http://", "https://"))


def _one_line(error: BaseException) -> str:
    """What went wrong at the root: "Connection refused" says more than the four errors that wrap it."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return " ".join(str(error).split())[:200] or type(error).__name__
