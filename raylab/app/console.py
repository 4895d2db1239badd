"""Where commands print: tables for a terminal, the same lines unwrapped for a pipe, JSON for a script."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 240  # wide enough that no cell is cut; a script that wants cells takes --json


class _Output(Console):
    """rich would exit with 1 when the reader of a pipe has left; the command line handles that itself."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Standard output, as it is now: tests and pipes put another one in its place."""
    return _Output(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def table(*columns: str, rows: list[list[str]], title: str | None = None) -> Table:
    """A plain table; columns that begin with ">" are figures, set flush right. Cells are taken literally."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", header_style="dim")
    for row in rows:
        made.add_row(*(cell.replace("[", r"\[") for cell in row))
    return made


def figure(value: Any, digits: int = 2) -> str:
    """A number for a table, "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


def print_json(value: Any) -> None:
    """One JSON object as the last line of standard output, for scripts."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False), flush=True)
