"""What a person sees while a study runs: a live table on a terminal, plain lines elsewhere, nothing if quiet."""

import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raylab.app.console import console, duration, facts, figure
from raylab.app.pace import Conducted, Pace
from raylab.search.ledger import ENDED, Run, Study
from raylab.search.measure import Measure
from raylab.search.study import RACE_FROM

Live = dict[int, dict[str, Any]]  # by lane: the run it is at, as raylab.cluster.lanes tells it
PLAIN_EVERY_S = 30.0
_WIDTH = 120


class Display:
    """Shows a study's progress; a context manager, called as the runner's on_change.

    It goes around the runner: it has something to say while lanes start, and the last run to end is told as well.
    """

    def __init__(self, conduct: Conducted, lanes: int, *, quiet: bool = False) -> None:
        self._out = Console(quiet=True) if quiet else console()
        self._pace, self._lanes = Pace(conduct, lanes), lanes
        self._measure = Measure.of(conduct.study)
        self._told = {run.key for run in conduct.study.runs.values() if run.state in ENDED}
        self._working = self._headed = False
        self._begun = time.monotonic()
        self._last_plain: float | None = None
        self._shown: RenderableType | None = None  # made where the study is changed, drawn by a thread of rich
        self._live = RichLive(
            console=self._out, refresh_per_second=4, transient=True, get_renderable=lambda: self._shown or self._starting()
        )

    def __enter__(self) -> "Display":
        if self._out.is_terminal:
            self._live.start()
        else:
            self._out.print(f"Starting {self._lanes_in_words()}.")
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def __call__(self, study: Study, live: Live) -> None:
        """Show the study as it is now."""
        for run in study.runs.values():
            if run.state in ENDED and run.key not in self._told:
                self._told.add(run.key)
                self._tell(run)
        self._working = self._working or bool(live) or self._headed
        if self._working and self._out.is_terminal:
            self._shown = Group("", facts(self._summary(study, live)), _lanes(live))
        elif self._working:
            self._now_and_then(self._summary(study, live))

    def _now_and_then(self, summary: list[tuple[str, str]]) -> None:
        """A line every half minute; the first when lanes have been at work for so long."""
        now = time.monotonic()
        self._last_plain = self._last_plain or now
        if now - self._last_plain > PLAIN_EVERY_S:
            self._last_plain = now
            self._out.print(Text("; ".join(f"{name.lower()}: {told}" for name, told in summary)))

    def _starting(self) -> Text:
        return Text(f"\nStarting {self._lanes_in_words()}: {duration(time.monotonic() - self._begun)}", style="dim")

    def _lanes_in_words(self) -> str:
        return f"{self._lanes} lane{'s' * (self._lanes > 1)} of workers, which takes a quarter of a minute or more"

    def _tell(self, run: Run) -> None:
        """One line for a run that ended, below one heading for all."""
        score = f"{self._measure.words}, dev"
        if not self._headed:
            self._headed = True
            self._out.print(Text(f"\n{'run':<9}  {'state':<8}  {score}  seconds  recipe", style="dim"))
        what = f"trial {run.trial}" if run.role == "explore" else _seed(run)
        value = figure(run.metrics.get(f"dev_{self._measure.name}"), 2 if not self._measure.higher_is_better else 3)
        took = figure(run.ended - run.started, 1) if run.ended and run.started else "-"
        reason = f" ({run.error.strip().splitlines()[-1]})" if run.error else ""
        line = f"{what:<9}  {run.state:<8}  {value:>{len(score)}}  {took:>7}  {run.label}{reason}"
        self._out.print(Text(line, no_wrap=True, overflow="ellipsis"))

    def _summary(self, study: Study, live: Live) -> list[tuple[str, str]]:
        phase, best = self._pace.phase(), self._measure.best(study.of_role("explore"))
        states = ", ".join(f"{n} {state}" for state, n in study.counts().items() if n)
        exploring = phase.name == "Explore"
        rows = [(phase.name, f"{phase.done} of {phase.of} {'trials' if exploring else 'runs'}")]
        if exploring and states:
            rows = [(phase.name, f"{rows[0][1]} ({states})")]
        if best:
            rows.append(("Best", f"{figure(self._measure.score(best))} {self._measure.words} on dev: {best.label}"))
        return [*rows, ("Pace", self._pace_in_words(live))]

    def _pace_in_words(self, live: Live) -> str:
        left = self._pace.seconds_left()
        tokens = sum(lane.get("tokens_per_s", 0.0) for lane in live.values())
        parts = [
            f"{tokens:,.0f} tokens/s" if tokens else "",
            f"{duration(time.monotonic() - self._begun)} so far",
            f"about {duration(left)} left" if left is not None else "",
        ]
        return ", ".join(part for part in parts if part)


def _seed(run: Run) -> str:
    return f"race {run.replicate - RACE_FROM}" if run.role == "race" else f"seed {run.replicate}"


def _lanes(live: Live) -> Constrain:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(style="dim", min_width=8, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(min_width=8, no_wrap=True)
    table.add_column(width=20)
    table.add_column(justify="right", min_width=7, no_wrap=True)
    for index, lane in sorted(live.items()):
        step, steps = lane.get("step", 0), lane.get("steps", 1)
        bar = ProgressBar(total=steps, completed=step, width=20)
        table.add_row(f"lane {index}", Text(lane.get("label", "")), lane.get("stage", ""), bar, f"{step}/{steps}")
    return Constrain(table, _WIDTH)
