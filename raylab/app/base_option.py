"""The option that names a checkpoint; shared by all commands that begin with one."""

import argparse
from pathlib import Path


def add_base_argument(group: argparse._ActionsContainer, told: str) -> None:
    """Add --base. told: what it is for."""
    group.add_argument("--base", type=_anywhere, metavar="NAME_OR_PATH", help=told)


def _anywhere(text: str) -> str:
    """A folder by its whole path, as workers run in folders of their own; the name of a model on the Hub as it is."""
    path = Path(text).expanduser()
    return str(path.absolute()) if path.is_dir() else text
