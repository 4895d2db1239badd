"""What the queue knows of its lanes: which are up, which are coming, and which sleep until a run waits for them.

A lane that runs several runs at once has a seat for each: what is known of a run and of who runs it stands by seat, and the
lane's number is that of its first seat.

On a cluster that grows, a lane is a request for machines. So one that sleeps is called only when more runs wait than
lanes are on their way to take one, and one that finds nothing to do for a while goes back to sleep.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

# asleep: it has no workers, and asks for none. called: its workers are asked for, and come up. idle: they wait for a run.
Phase = Literal["asleep", "called", "idle", "busy"]
ROOM_S = 60.0  # how long Ray Train waits for room before it gives up a group of workers; set in raylab.cluster.lanes


@dataclass(kw_only=True, slots=True)
class Meeting:
    """The workers of a lane at the end of a run: how it ended for each, by rank."""

    ends: dict[int, dict[str, Any]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> dict[str, Any]:
        """How it ended: with the error of the lowest rank that has one."""
        ends = [self.ends[rank] for rank in sorted(self.ends)]
        return next((end for end in ends if end["error"]), ends[0])


@dataclass(kw_only=True, slots=True)
class Lane:
    """What is known of one lane."""

    phase: Phase = "asleep"
    since: float = 0.0  # of the phase
    key: str | None = None  # of the run it is at
    live: dict[str, Any] = field(default_factory=dict)  # how far that is
    heard: float | None = None  # when its workers last told anything; None while they are being started
    workers: dict[int, Any] = field(default_factory=dict)  # handles, by rank
    controller: Any = None  # handle of the actor of Ray Train that gathers them
    room: Any = None  # what its workers were last given on the cluster: a placement group
    gathering: float | None = None  # since when it does; None once they are at work
    given_up: str = ""  # why its workers are being killed
    turn: int = 0  # counts up with every time it asks for a run or loses its workers
    barren: int = 0  # times in a row that it was lost before it asked for anything
    meeting: Meeting | None = None

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""
        if phase != self.phase:
            self.phase, self.since = phase, time.monotonic()

    def begin(self, key: str) -> None:
        """Take up a run."""
        self.enter("busy")
        self.key, self.live, self.heard, self.meeting = key, {}, time.monotonic(), Meeting()

    def rest(self) -> None:
        """Wait for a run."""
        self.enter("idle")
        self.turn += 1
        self.key, self.live, self.heard, self.gathering = None, {}, time.monotonic(), None

    def fall(self, phase: Phase = "asleep") -> None:
        """Its workers are gone, and the run it was at is no longer its own."""
        self.enter(phase)
        self.turn += 1
        self.key, self.live, self.workers, self.controller = None, {}, {}, None
        self.meeting, self.heard, self.gathering, self.given_up = None, None, None, ""

    def give_up(self, limit_s: float, start_limit_s: float) -> list[Any]:
        """What to kill of a lane that hangs, at a run or while its workers start; nothing if it does not."""
        now = time.monotonic()
        if self.heard is not None and now - self.heard > limit_s:
            self.given_up = f"it hung: its workers told nothing for {now - self.heard:.0f} s and were killed"
            self.heard = None
            return list(self.workers.values())
        room_s = 0.0 if self.workers else ROOM_S  # before that, nobody knows whether there is room yet
        if self.gathering is not None and now - self.gathering > start_limit_s + room_s:
            self.given_up = f"it hung: its workers were not up {now - self.gathering:.0f} s after their start and were killed"
            self.gathering = None
            return list(self.workers.values()) or [self.controller]
        return []


class Roster:
    """All lanes. idle_after_s: how long a lane waits for a run before it gives its workers back; None: for ever, and
    every lane is called at once. seats: of each lane."""

    def __init__(self, idle_after_s: float | None, seats: int = 1) -> None:
        self.idle_after_s, self.seats = idle_after_s, seats
        self._lanes: dict[int, Lane] = {}
        self._asleep: dict[int, asyncio.Future[bool]] = {}

    def __getitem__(self, index: int) -> Lane:
        return self._lanes.setdefault(index, Lane())

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def of(self, lane: int) -> list[Lane]:
        """The seats of a lane."""
        return [self[lane + seat] for seat in range(self.seats)]

    def beside(self, seat: int) -> list[Lane]:
        """The seats of a seat's lane, itself among them."""
        return self.of(seat - seat % self.seats)

    def heard_of(self, seat: int) -> None:
        """Something was told from a seat: the others of its lane wait for their turn in the same process."""
        for one in self.beside(seat):
            if one.heard is not None:
                one.heard = time.monotonic()

    def sleep(self, index: int) -> "asyncio.Future[bool]":
        """Put a lane to sleep. The answer: whether it is called; False if there will be no more runs."""
        if earlier := self._asleep.pop(index, None):
            earlier.set_result(False)  # nobody waits for it: it was asked in a process that is gone
        self[index].enter("asleep")
        self._asleep[index] = asyncio.get_running_loop().create_future()
        return self._asleep[index]

    def call(self, waiting: int) -> None:
        """Call the lanes that are needed for so many runs that wait, lowest numbers first."""
        coming = sum({"called": self.seats, "idle": 1}.get(lane.phase, 0) for lane in self)
        for index in sorted(self._asleep):
            if self.idle_after_s is not None and coming >= waiting:
                return
            self._asleep.pop(index).set_result(True)
            self[index].enter("called")
            coming += self.seats

    def dismiss(self) -> None:
        """Nobody will be called any more."""
        for answer in self._asleep.values():
            answer.set_result(False)
        self._asleep.clear()

    def has_waited(self, seat: int) -> bool:
        """Has an idle seat's lane, with all its seats, waited for a run for long enough?"""
        if self.idle_after_s is None:
            return False
        longest, now = self.idle_after_s, time.monotonic()
        return all(one.phase != "busy" and now - one.since >= longest for one in self.beside(seat))

    def live(self) -> dict[int, dict[str, Any]]:
        """By lane, how far the run is that it is at; or, for one that has no workers yet, `state` in words."""
        busy = {index: lane.live for index, lane in self._lanes.items() if lane.live}
        return busy | {index: {"state": self._coming(lane)} for index, lane in self._lanes.items() if lane.phase == "called"}

    def _coming(self, lane: Lane) -> str:
        return "starting" if lane.workers or self.idle_after_s is None else "waiting for nodes"
