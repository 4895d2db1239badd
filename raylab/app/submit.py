"""`raylab submit search ...`: a search that runs on a cluster without this machine, and is followed from here."""

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raylab.app.console import duration, launcher
from raylab.errors import UserError

if TYPE_CHECKING:  # Ray takes seconds to import
    from raylab.cluster.submission import Jobs

HELP = "run a search on a cluster, without this machine, and follow it"
RESUMES = 10  # of a search whose driver is lost again and again
WAIT_S = 1800.0
PAUSE_S = 3.0
_FROM_ENVIRONMENT = "RAY_API_SERVER_ADDRESS"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options; all that follows `search` is the search's own."""
    parser.usage = "raylab submit [OPTIONS] search SPACE ... | raylab submit [OPTIONS] --follow NAME"
    parser.add_argument("command", nargs="?", choices=["search"], metavar="search", help="what to run, with its own options")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="as of `raylab search`; --storage is needed")
    parser.add_argument("--address", metavar="URL", help="the cluster's dashboard (default: http://127.0.0.1:8265)")
    parser.add_argument("--follow", metavar="NAME", help="follow the search of this name again")
    parser.add_argument("--detach", action="store_true", help="do not follow it")
    parser.add_argument("--in-place", action="store_true", help="paths are those of the cluster: send nothing but raylab along")
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="SECONDS",
        help="how long to wait for a cluster whose head was lost (default: %(default)g)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """The exit code of the search; 130 if it was stopped, or is followed no longer; 1 if it was lost."""
    from raylab.cluster.submission import DEFAULT_ADDRESS, Jobs

    if (args.command is None) == (args.follow is None):
        raise UserError("give a search to submit, e.g. `raylab submit search masking --storage s3://...`, or --follow NAME.")
    address = args.address or os.environ.get(_FROM_ENVIRONMENT) or DEFAULT_ADDRESS
    if args.follow:
        jobs = Jobs(address)
        return _followed(jobs, jobs.newest(args.follow), None, args.wait)
    return _submitted(address, args)


def _submitted(address: str, args: argparse.Namespace) -> int:
    from raylab.app.parcel import Parcel
    from raylab.cluster.submission import Jobs

    if any(argument.partition("=")[0] == "--address" for argument in args.arguments):
        raise UserError("--address comes before `search`: raylab submit --address http://HOST:8265 search ...")
    parcel = Parcel.of(args.arguments, in_place=args.in_place)
    jobs = Jobs(address)
    with tempfile.TemporaryDirectory(prefix="raylab-parcel-") as folder:
        size = parcel.fill(Path(folder))
        name = parcel.name or "plan"
        job = jobs.submit(name, _command(parcel.arguments), Path(folder))
        along = "".join(f", {path}" for path in parcel.along.values())
        _say(f"Sent raylab{along} ({size / 1e6:.1f} MB) to {jobs.address}; it runs there as job {job}.")
        if args.detach:
            _say(_next(jobs.address, job))
            return 0
        _say("Its log follows. Ctrl-C leaves it running.")
        go_on = [] if "--resume" in parcel.arguments or parcel.name is None else ["--go-on"]
        return _followed(
            jobs, job, lambda: jobs.submit(name, _command([*parcel.arguments, *go_on]), Path(folder)), args.wait
        )  # fmt: skip


def _command(arguments: Sequence[str]) -> str:
    """Nobody is there who could be asked: whoever submits has agreed."""
    return shlex.join(["python", "-m", "raylab.search", *arguments, "--yes"])


def _followed(jobs: "Jobs", job: str, resubmit: Callable[[], str] | None, wait_s: float) -> int:
    """Follow a job to its end. resubmit: starts another that goes on where this one was lost, None if that is not possible
    from here."""
    from raylab.cluster.submission import LostError

    resumed = 0
    try:
        while True:
            try:
                return jobs.follow(job, _write)
            except LostError as error:
                _say(f"{job} was lost: {error}. Waiting for the cluster, at most {duration(wait_s)}.")
            if not jobs.wait(wait_s):
                _say(f"{jobs.address} did not answer again. {_next(jobs.address, job)}")
                return 1
            if jobs.is_there(job):
                _say(f"{job} is still there.")
                continue
            if resubmit is None or resumed == RESUMES:
                _say(f"{job} is gone. Submit the search again with --resume, from the machine that has its files.")
                return 1
            resumed += 1
            job = _patiently(resubmit, jobs, wait_s)
            _say(f"The search goes on as job {job} ({resumed} of at most {RESUMES} times).")
    except KeyboardInterrupt:
        _say(f"\n{job} goes on without this terminal. {_next(jobs.address, job)}")
        return 130


def _patiently(resubmit: Callable[[], str], jobs: "Jobs", wait_s: float) -> str:
    """Resubmit to a head that has just come up: its dashboard answers before it takes jobs."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return resubmit()
        except UserError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)


def _next(address: str, job: str) -> str:
    name, at = job.split("@")[0], f"--address {address}"
    return f"Follow it: {launcher()} submit {at} --follow {name}. Stop it: ray job stop {at} {job}."


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _say(text: str) -> None:
    """What is about the submission goes beside the search's own words."""
    print(text, file=sys.stderr, flush=True)
