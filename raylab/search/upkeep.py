"""What a running study leaves behind: checkpoints of ended runs go, the winner's model stays, and a bucket has it all.

A study that lies in a bucket is run in a folder of the driver's machine. A thread takes its ledger to the bucket as it
grows, so that a driver lost with its machine loses next to nothing: a run's own folder there (checkpoints, how it ended)
is deleted only after a ledger that tells its end has arrived.
"""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from raylab.errors import UserError
from raylab.search import lease, report
from raylab.search.comparison import written as comparison
from raylab.search.lease import Lease
from raylab.search.ledger import FILE, FINAL, Study, whole_lines
from raylab.storage import Storage

POLL_S = 1.0
SHARE = 0.1  # of the time, at most, that the ledger is on its way
BACKOFF_S = (2.0, 30.0)  # first and longest wait after a failure
WINNER, MODEL, RUNS = "winner", "model", "runs"
WHOLE = "config.json"  # of a model: the file that is taken last


class Upkeep:
    """Looks after the folder of one study while it runs; a context. tell: where a person hears of what takes long."""

    def __init__(
        self, study: Storage, over: Iterable[str] = (), *, tell: Callable[[str], None] = lambda text: None,
        pace: lease.Pace | None = None,
    ) -> None:  # fmt: skip
        self.study, self.trouble = study, ""
        self._lease, self._tell = Lease(study, pace), tell
        self._over = set(over)
        self._ended: list[str] = []  # runs whose end the ledger tells, but not yet the bucket's
        self._taken = -1  # bytes of the ledger that are there
        self._next = 0.0
        self._lost: UserError | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="raylab-upkeep", daemon=True)

    def __enter__(self) -> "Upkeep":
        self._lease.take(self._tell)
        _check_same_ledger(self.study)
        for key in self._left():
            self.ended(key)
        if self.study.bucket:
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """The last of it is taken to the bucket; `trouble` says what could not be, in one line."""
        if not self.study.bucket:
            return
        self._closing.set()
        self._thread.join()
        if self._lost is None:
            try:
                send(self.study)
                self._take()
                self._lease.leave()
                self.trouble = ""
            except OSError as error:
                self.trouble = (
                    f"{error} The last of this study is in {self.study.here}; "
                    f"`raylab report {self.study.here.name} --storage ...` takes it there."
                )

    def ended(self, key: str) -> None:
        """The run is in the ledger: its checkpoints go, its model is the winner's if it has one."""
        if self.study.bucket:
            self._ended.append(key)
        else:
            self._tidy(key)

    def check(self) -> None:
        """Raise UserError if another driver has taken the study over."""
        if self._lost is not None:
            raise self._lost

    def _left(self) -> list[str]:
        """Ended runs that still have a folder: a driver was lost in between."""
        here = [path.name for path in (self.study.here / RUNS).glob("*") if path.is_dir()]
        there = [entry.name for entry in self.study.entries(RUNS)]
        return sorted(self._over & {*here, *there})

    # --- the thread ---------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        wait_s = POLL_S
        while not self._closing.wait(wait_s):
            try:
                self._lease.keep()
                self._take_now_and_then()
                wait_s, self.trouble = POLL_S, ""
            except OSError as error:  # the bucket is away: what is here is taken there later
                wait_s, self.trouble = min(max(2 * wait_s, BACKOFF_S[0]), BACKOFF_S[1]), str(error)
            except UserError as error:
                self._lost = error
                return

    def _take_now_and_then(self) -> None:
        began = time.monotonic()
        if began >= self._next and (self._ended or _size(self.study.here / FILE) != self._taken):
            self._take()
            self._next = time.monotonic() + (time.monotonic() - began) * (1 / SHARE - 1)

    def _take(self) -> None:
        """The ledger as it is, then the runs that ended before."""
        ended = list(self._ended)
        content = whole_lines(self.study.here / FILE)
        self.study.write(FILE, content)
        self._taken = len(content)
        for key in ended:
            self._tidy(key)
            self._ended.remove(key)

    def _tidy(self, key: str) -> None:
        folder, winner = self.study.here / RUNS / key, self.study.here / WINNER
        if (folder / MODEL / WHOLE).is_file() or self.study.fetch(f"{RUNS}/{key}/{MODEL}", last=WHOLE):
            shutil.rmtree(winner, ignore_errors=True)
            shutil.move(folder / MODEL, winner)
            self.study.delete(WINNER)
            self.study.push(WINNER, last=WHOLE)
        self.study.delete(f"{RUNS}/{key}")
        shutil.rmtree(folder, ignore_errors=True)


def ended(study: Study) -> list[str]:
    """The keys of the runs that are over; one that a cap stopped may go on."""
    return [run.key for run in study.runs.values() if run.state in FINAL]


def send(study: Storage) -> None:
    """Take what was made of the ledger, the report and its tables, to the bucket."""
    for name in (*report.FILES, report.MASKS, *comparison.FILES):
        if (study.here / name).is_file():
            study.push(name)


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return -1


def _check_same_ledger(study: Storage) -> None:
    """Between the reading of a ledger and the claim on its study, another driver may have gone on with it."""
    there = study.read(FILE)
    if there is not None and not whole_lines(study.here / FILE).startswith(there):
        raise UserError(f"{study} went on elsewhere meanwhile. Resume it again.")
