"""What a person sees while a study runs: a live table on a terminal, plain lines elsewhere, nothing if quiet."""

import sys
import time
from typing import Any

from rich.console import Group
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raylab.app.console import console, figure
from raylab.search.ledger import ENDED, Run, Study
from raylab.search.measure import Measure
from raylab.search.plan import COMPARED
from raylab.search.study import Conduct

Live = dict[int, dict[str, Any]]
PLAIN_EVERY_S = 10.0


class Display:
    """Shows a study's progress; a context manager, called as the runner's on_change."""

    def __init__(self, conduct: Conduct, *, quiet: bool = False) -> None:
        self.conduct, self.quiet = conduct, quiet
        self.begun = time.monotonic()
        self._told: set[str] = set()
        self._ended_before: int | None = None
        self._last_plain = time.monotonic()
        self._console = console()
        terminal = not quiet and self._console.is_terminal
        self._live = RichLive(console=self._console, refresh_per_second=4, transient=True) if terminal else None

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, study: Study, live: Live) -> None:
        """Show the study as it is now."""
        if self.quiet:
            return
        for run in study.runs.values():
            if run.state in ENDED and run.key not in self._told:
                self._tell(run, study)
        if self._live:
            self._live.update(Group(self._summary(study, live), self._lanes(live)))
        elif time.monotonic() - self._last_plain > PLAIN_EVERY_S:
            self._last_plain = time.monotonic()
            self._console.print(self._summary(study, live))
            sys.stdout.flush()

    def _tell(self, run: Run, study: Study) -> None:
        """One line for a run that ended; those that had ended before this process began are not told again."""
        self._told.add(run.key)
        if run.ended is None or run.ended < time.time() - (time.monotonic() - self.begun):
            return
        measure = Measure.of(study)
        what = f"trial {run.trial}" if run.role == "explore" else f"{run.role}, seed {run.replicate}"
        score = run.metrics.get(f"dev_{measure.name}")
        reason = f" ({run.error.strip().splitlines()[-1]})" if run.error else ""
        seconds = run.seconds.get("total")
        line = f"{what}: {run.state}, {measure.words} {figure(score)}, {figure(seconds, 0)} s, {run.label}{reason}"
        self._console.print(Text(line))

    def _summary(self, study: Study, live: Live) -> Text:
        counts = study.counts()
        ended, wanted = self._ended(study), self._wanted()
        best = Measure.of(study).best(study.of_role("explore"))
        parts = [
            f"{ended} of {wanted} runs",
            " ".join(f"{n} {state}" for state, n in counts.items() if n) or "none ended yet",
            f"{len(live)} running",
            f"best {figure(Measure.of(study).score(best))} ({best.label})" if best else "",
            f"{sum(lane.get('tokens_per_s', 0) for lane in live.values()):,.0f} tokens/s",
            self._time_left(ended, wanted),
        ]
        return Text(" | ".join(p for p in parts if p))

    def _ended(self, study: Study) -> int:
        return sum(run.state in ENDED for run in study.runs.values()) + len(study.cached)

    def _wanted(self) -> int:
        """Runs in all; the verdict's are known once exploration is over."""
        known = self.conduct.still_due() == 0 and self.conduct.explored()
        confirmations = len(self.conduct.confirmation()) if known else self.conduct.settings.seeds * (COMPARED + 1)
        return self.conduct.settings.trials + confirmations

    def _time_left(self, ended: int, wanted: int) -> str:
        """From the rate of this process; nothing until two runs have ended in it."""
        if self._ended_before is None:
            self._ended_before = ended
        done = ended - self._ended_before
        elapsed = time.monotonic() - self.begun
        passed = f"{elapsed:,.0f} s"
        return f"{passed}, about {elapsed / done * (wanted - ended):,.0f} s left" if done >= 2 else passed

    def _lanes(self, live: Live) -> Table:
        table = Table.grid(padding=(0, 2))
        for index, lane in sorted(live.items()):
            step, steps = lane.get("step", 0), lane.get("steps", 1)
            bar = ProgressBar(total=steps, completed=step, width=24)
            table.add_row(f"lane {index}", Text(lane.get("label", "")), lane.get("stage", ""), bar, f"{step}/{steps}")
        return table
