"""Where commands print: tables for a terminal, the same lines unwrapped for a pipe, JSON for a script."""

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 240  # wide enough that no cell is cut; a script that wants cells takes --json
_LINE_WIDTH = 120  # of what is read as sentences: longer lines are hard to read, however wide the terminal


class _Output(Console):
    """Two things that rich does to a pipe, undone: it fills up lines with spaces, and exits with 1 when the reader has left."""

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal:
            super().print(*objects, **options)
            return
        with self.capture() as captured:
            super().print(*objects, **options)
        self.file.write("\n".join(line.rstrip(" ") for line in captured.get().split("\n")))
        self.file.flush()

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Standard output, as it is now: tests and pipes put another one in its place."""
    if "ipykernel" in sys.modules:  # a notebook says it is a terminal, but cannot go up a line, and wraps long ones
        return _Output(highlight=False, force_jupyter=False, force_terminal=False, width=_LINE_WIDTH)
    return _Output(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def table(*columns: str, rows: list[list[str]], title: str | None = None) -> Table:
    """A plain table; columns that begin with ">" are figures, set flush right. Cells are taken literally."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", header_style="dim")
    for row in rows:
        made.add_row(*(cell.replace("[", r"\[") for cell in row))
    return made


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Constrain:
    """What there is to say, a name in front of each; long texts go on below themselves. Texts are taken literally."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", min_width=8, no_wrap=True)
    grid.add_column()
    for name, told in rows:
        grid.add_row(name, Text(told) if isinstance(told, str) else told)
    return Constrain(grid, _LINE_WIDTH)


def duration(seconds: float) -> str:
    """A time as people say it: "45 s", "12 min", "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def figure(value: Any, digits: int = 2) -> str:
    """A number for a table, "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


def print_json(value: Any) -> None:
    """One JSON object as the last line of standard output, for scripts."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False), flush=True)


def launcher() -> str:
    """What a person types here for `raylab`: the command, or where it lies if its environment is not activated."""
    beside = Path(sys.executable).with_name("raylab")
    if shutil.which("raylab"):
        return "raylab"
    if not beside.exists():
        return "python -m raylab"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)
