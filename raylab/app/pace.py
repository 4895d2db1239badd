"""How far a study is and how long the rest will take, for the display."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from raylab.search.ledger import ENDED, Run
from raylab.search.study import Conduct

LEAST_ENDED = 2  # runs of this process; before that, nothing is said about the time that is left


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """What a study is at. left: runs that have not ended, of this phase and those that are sure to come."""

    name: str
    done: int
    of: int
    left: int


class Pace:
    """Counts a study's runs. Only what runs from now on says how fast it goes: a resumed study may have paused for days."""

    def __init__(self, conduct: Conduct, lanes: int, clock: Callable[[], float] = time.time) -> None:
        self._conduct, self._lanes, self._clock = conduct, lanes, clock
        self._since = clock()
        self._before = {run.key for run in conduct.study.runs.values() if run.state in ENDED}

    def phase(self) -> Phase:
        """Explore until no trial is due, let the best race, then confirm."""
        trials, due = self._conduct.settings.trials, self._conduct.still_due()
        if due or not self._conduct.explored():
            return Phase(name="Explore", done=trials - due, of=trials, left=due + self._conduct.fewest_runs())
        confirming = self._conduct.confirmation()
        asked = confirming or self._conduct.race()
        done = sum(1 for _ in self._ended(request.key for request in asked))
        ahead = 0 if confirming else self._conduct.fewest_runs()
        return Phase(name="Confirm" if confirming else "Select", done=done, of=len(asked), left=len(asked) - done + ahead)

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
