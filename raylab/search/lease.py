"""One driver a study: while a study lies in a bucket, a small object there says which process runs it.

On one machine a lock on a file does that, and goes with its process however that ends. Buckets know no locks, and the
clocks of two machines differ; so whoever finds somebody else's lease watches whether it is renewed.
"""

import json
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raylab.errors import UserError
from raylab.storage import Storage

FILE = "lease.json"
BEAT_S = 15.0  # between renewals
WATCH_S = 3 * BEAT_S  # without one, and it counts as left behind
SURELY_OVER_S = 3600.0  # longer ago than clocks of machines that a bucket talks to can differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds: between renewals, of watching another's lease, between two looks at it, until a new lease has settled."""

    beat_s: float = BEAT_S
    watch_s: float = WATCH_S
    look_s: float = 2.0
    settle_s: float = 1.0


class Lease:
    """This process's claim on the study at `study`; nothing where that is a plain folder."""

    def __init__(self, study: Storage, pace: Pace | None = None) -> None:
        self.study, self.pace = study, pace or Pace()
        self._own = {"host": socket.gethostname(), "pid": os.getpid(), "id": uuid.uuid4().hex}
        self._beats = 0
        self._renewed = 0.0

    def take(self, tell: Callable[[str], None] = lambda text: None) -> None:
        """Claim the study. Raises UserError if another driver is at it; one that may have died is watched for a while."""
        if self.study.bucket is None:
            return
        held = self._read()
        if held is not None and not self._over(held):
            self._watch(held, tell)
        self._write()
        time.sleep(self.pace.settle_s)  # of two that claim it at once, the last to write has it
        self._check()

    def keep(self) -> None:
        """Renew it, if it is time. Raises UserError if another driver has taken the study over."""
        if self.study.bucket is not None and time.monotonic() - self._renewed >= self.pace.beat_s:
            self._check()
            self._write()

    def leave(self) -> None:
        """Give the study free."""
        if self.study.bucket is not None and (self._read() or {}).get("id") == self._own["id"]:
            self.study.delete(FILE)

    def _watch(self, held: dict[str, Any], tell: Callable[[str], None]) -> None:
        who = _named(held)
        tell(f"{self.study} was being run by {who}: watching for {self.pace.watch_s:.0f} s whether it still is.")
        deadline = time.monotonic() + self.pace.watch_s
        while time.monotonic() < deadline:
            time.sleep(self.pace.look_s)
            now = self._read()
            if now is None:
                return
            if now != held:
                raise UserError(f"{self.study} is being run by {_named(now)}. Wait for it, or stop it first.")

    def _over(self, held: dict[str, Any]) -> bool:
        """Is its process surely gone?"""
        if held["host"] == self._own["host"] and not _alive(held["pid"]):
            return True
        return time.time() - self.study.stat(FILE).written > SURELY_OVER_S

    def _check(self) -> None:
        now = self._read()
        if now is not None and now["id"] != self._own["id"]:
            raise UserError(
                f"{self.study} was taken over by {_named(now)}, and is left to it. What had finished here is found there."
            )

    def _read(self) -> dict[str, Any] | None:
        content = self.study.read(FILE)
        try:
            held = json.loads(content) if content else None
            return held if held and {"host", "pid", "id"} <= held.keys() else None
        except (ValueError, AttributeError):
            return None  # not ours: nobody can hold what nobody can read

    def _write(self) -> None:
        self._beats += 1
        self.study.write(FILE, json.dumps({**self._own, "beats": self._beats}).encode())
        self._renewed = time.monotonic()


def _named(held: dict[str, Any]) -> str:
    return f"process {held['pid']} on {held['host']}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
