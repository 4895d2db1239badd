"""`raylab cache`: the models after a prefix of stages that runs share; nothing of it is deleted but by this command."""

import argparse
import math
import re
from datetime import datetime

from raylab.app.console import console, duration, print_json, table
from raylab.app.storage import add_storage_argument
from raylab.errors import UserError

HELP = "show the cache of pretrained stages, or make it smaller"
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="show|prune")
    show = actions.add_parser("show", help="what it holds, and what each entry has cost")
    pruned = actions.add_parser("prune", help="delete what was of use longest ago")
    pruned.add_argument("--max-size", type=size, required=True, metavar="SIZE", help="what may be left, e.g. 5GB; 0 for nothing")
    for action in (show, pruned):
        add_storage_argument(action)
        action.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def size(text: str) -> int:
    """Bytes: "5GB", "500 MB", "0". Raises UserError for anything else."""
    match = re.fullmatch(r"([\d.]+)\s*([A-Za-z]*)", text.strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if unit is None or math.isnan(number):
        raise UserError(f"{text!r} is no size; expected a number of bytes with its unit, e.g. 5GB or 500MB.")
    return int(number * unit)


def run(args: argparse.Namespace) -> int:
    """Carry out the action."""
    from raylab.training.stage_cache import FOLDER, entries, prune  # torch

    place = args.storage / FOLDER
    told = entries(place) if args.action == "show" else prune(place, args.max_size)
    held = sum(entry.size for entry in (told if args.action == "show" else entries(place)))
    if args.json:
        plain = [{"key": e.key, "what": e.what, "bytes": e.size, "used": e.used, **e.cost} for e in told]
        print_json({"storage": str(args.storage), "bytes": held, "entries" if args.action == "show" else "deleted": plain})
        return 0
    out = console()
    if told:
        rows = [
            [e.key, e.what, f"{e.size / 1e6:,.1f} MB", f"{e.cost['tokens']:,}", duration(e.cost["seconds"]),
             f"{datetime.fromtimestamp(e.used):%Y-%m-%d %H:%M}"] for e in told
        ]  # fmt: skip
        out.print(table("key", "stages", ">size", ">corpus tokens", ">took", "last of use", rows=rows))
    if args.action == "prune":
        out.print(f"{len(told)} deleted; the others hold {held / 1e6:,.1f} MB.", markup=False)
    else:
        out.print(f"{held / 1e6:,.1f} MB in {place}.", markup=False)
    return 0
