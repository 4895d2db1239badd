"""How far a study is and how long the rest will take, for the display."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from raylab.search.ledger import ENDED, Run, Study
from raylab.search.study import Phase

LEAST_ENDED = 2  # runs of this process; before that, nothing is said about the time that is left


class Conducted(Protocol):
    """A study at work: a search, or the comparison of declared arms."""

    study: Study

    def phase(self) -> Phase:
        """How far it is."""


class Pace:
    """Counts a study's runs. Only what runs from now on says how fast it goes: a resumed study may have paused for days."""

    def __init__(self, conduct: Conducted, lanes: int, clock: Callable[[], float] = time.time) -> None:
        self._conduct, self._lanes, self._clock = conduct, lanes, clock
        self._since = clock()
        self._before = {run.key for run in conduct.study.runs.values() if run.state in ENDED}

    def phase(self) -> Phase:
        """What the study is at."""
        return self._conduct.phase()

    def seconds_left(self) -> float | None:
        """From the mean time of the runs that ended in this process; None until there are two."""
        took = [run.ended - max(run.started, self._since) for run in self._new() if run.started and run.ended]
        if len(took) < LEAST_ENDED:
            return None
        mean = statistics.mean(took)
        running = sum(min(mean, self._clock() - max(run.started, self._since)) for run in self._running() if run.started)
        return max(0.0, self.phase().left * mean - running) / self._lanes

    def _ended(self, keys: Iterable[str]) -> Iterator[Run]:
        runs = self._conduct.study.runs
        yield from (runs[key] for key in keys if self._conduct.study.has_ended(key))

    def _new(self) -> Iterator[Run]:
        yield from (run for run in self._ended(self._conduct.study.runs) if run.key not in self._before)

    def _running(self) -> Iterator[Run]:
        yield from (run for run in self._conduct.study.runs.values() if run.state == "running")
