"""Jobs on a cluster, through Ray's job submission: started, followed, and found again after the cluster's head was lost."""

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
from aiohttp import ClientError
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from raylab.cluster.connection import TOKEN_ADVICE
from raylab.errors import UserError

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
ANSWER_S = 5.0
POLL_S = 2.0
READY_S = 60.0  # a head that has just come up answers before it takes jobs
_LOST = (requests.RequestException, ConnectionError, ClientError, OSError, asyncio.TimeoutError)
# What the job is stopped by, so that a search ends as by Ctrl-C: it notes so, and writes its report
_ENVIRONMENT = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "30"}


class LostError(Exception):
    """The cluster does not answer any more, or does not know the job, or lost what ran it; the message says which."""


class Jobs:
    """The jobs of the cluster whose dashboard is at `address`. Raises UserError in one line if it can't be used."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        if not re.match(r"https?://[^/]+$", self.address):
            raise UserError(f"--address {address} is no dashboard of Ray. Expected http://HOST:PORT; the port is usually 8265.")
        self._written: dict[str, int] = {}  # characters of each job's log
        self._knock()
        logging.getLogger("ray").setLevel(logging.ERROR)  # what it sends, and from where, is told by whoever submits
        for name in ("dashboard_sdk", "job.sdk"):  # of a level of their own
            logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.ERROR)
        with _without("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # they would win over what was asked for
            self._client = JobSubmissionClient(self.address)

    def submit(self, name: str, command: str, folder: Path) -> str:
        """Run a command in a copy of `folder` on the cluster's head. Returns the job's id: the name, or NAME@2 and so on."""
        taken = self._ids(name)
        job = name if name not in taken else f"{name}@{1 + len(taken)}"
        environment = {"working_dir": str(folder), "env_vars": _ENVIRONMENT}
        deadline = time.monotonic() + READY_S
        while True:
            try:
                with _told(self.address):
                    self._client.submit_job(entrypoint=command, submission_id=job, runtime_env=environment)
                break
            except UserError as error:
                if "No available agent" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise UserError(
                        f"the cluster at {self.address} takes no jobs: its head's agent did not come up within {READY_S:.0f} s. "
                        "Another Ray on that machine may have its port (`ray start --dashboard-agent-listen-port`)."
                    ) from error
            time.sleep(POLL_S)
        self._written.pop(job, None)  # a new head gives the same id again
        return job

    def newest(self, name: str) -> str:
        """The id of the job that was submitted last under this name. Raises UserError if there is none."""
        taken = self._ids(name)
        if not taken:
            raise UserError(
                f"the cluster at {self.address} has no job {name!r}; `ray job list --address {self.address}` shows them."
            )
        return taken[-1]

    def follow(self, job: str, write: Callable[[str], None]) -> int:
        """Write the job's log, as far as this has not written it before, until it ends; its exit code, 130 if it was stopped.

        Raises LostError if it, or the cluster, is not there any more."""
        try:
            while True:
                asyncio.run(self._tail(job, write))
                info = self._client.get_job_info(job)
                if info.status.is_terminal():
                    return _exit_code(info)
                time.sleep(POLL_S)
        except _LOST as error:
            raise LostError(f"the cluster does not answer ({_line(error)})") from error
        except RuntimeError as error:
            raise LostError(f"the cluster does not know the job any more ({_line(error)})") from error

    def is_there(self, job: str) -> bool:
        """Whether the job is still waiting or running."""
        try:
            return not self._client.get_job_info(job).status.is_terminal()
        except (RuntimeError, *_LOST):
            return False

    def wait(self, limit_s: float) -> bool:
        """Until the dashboard answers again; False if it does not within the limit."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with contextlib.suppress(UserError):
                self._knock()
                return True
            time.sleep(POLL_S)
        return False

    async def _tail(self, job: str, write: Callable[[str], None]) -> None:
        """Write what is new in the log, which the cluster tells from its beginning every time."""
        passed = 0
        with contextlib.suppress(RuntimeError):  # the connection went: the job's state says whether it was the end
            async for text in self._client.tail_job_logs(job):
                known = max(0, self._written.get(job, 0) - passed)
                passed += len(text)
                if len(text) > known:
                    write(text[known:])
                    self._written[job] = passed

    def _ids(self, name: str) -> list[str]:
        """The ids of the jobs of this name, in the order in which they were submitted."""
        numbered = re.compile(re.escape(name) + r"(?:@\d+)?")
        with _told(self.address):
            known = {job.submission_id: numbered.fullmatch(job.submission_id or "") for job in self._client.list_jobs()}
        return sorted((str(job) for job, match in known.items() if match), key=lambda job: (len(job), job))

    def _knock(self) -> None:
        """Raise UserError unless Ray's dashboard answers at once."""
        with _told(self.address):
            answer = requests.get(f"{self.address}/api/version", timeout=ANSWER_S, headers=_token_headers())
            if answer.status_code in (401, 403):
                raise UserError(
                    f"the cluster at {self.address} refuses the token of this process, or its lack of one: {TOKEN_ADVICE}"
                )
            if not answer.ok or "ray_version" not in answer.text:
                raise UserError(f"what answers at {self.address} is not Ray's dashboard (status {answer.status_code}).")


def _exit_code(info: Any) -> int:
    """How a job ended. Raises LostError where not its command ended it, but the loss of what ran it."""
    if info.status == JobStatus.SUCCEEDED:
        return 0
    if info.status == JobStatus.STOPPED:
        return 130
    if info.driver_exit_code is None or info.driver_exit_code < 0:
        raise LostError(f"its driver was lost ({_line(info.message or 'no reason told')})")
    return int(info.driver_exit_code)


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    """What a server does not do, in one line."""
    try:
        yield
    except AuthenticationError as error:
        raise UserError(
            f"the cluster at {address} refuses the token of this process, or its lack of one: {TOKEN_ADVICE}"
        ) from error
    except requests.Timeout as error:
        raise UserError(
            f"nobody answers at {address} (no answer within {ANSWER_S:.0f} s). Is it the cluster's dashboard?"
        ) from error
    except (requests.RequestException, ConnectionError) as error:
        raise UserError(
            f"nobody answers at {address} ({_line(error)}). Is the cluster up, and its dashboard's port open to this machine?"
        ) from error
    except RuntimeError as error:
        raise UserError(f"the cluster at {address} did not take it: {_line(error)}") from error


def _token_headers() -> dict[str, str]:
    from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled

    return dict(get_auth_headers_if_auth_enabled({}))


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    known = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(known)


def _line(error: object) -> str:
    text = " ".join(str(error).split())
    refused = re.search(r"Connection refused|Name or service not known|Failed to resolve", text)
    return refused[0] if refused else text[:200]
