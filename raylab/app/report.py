"""raylab report: write a study's report anew from its ledger, and send MLflow what it lacks."""

import argparse
from pathlib import Path

from raylab.search import report
from raylab.search.studies import DEFAULT_STORAGE, find

HELP = "write a study's report anew, and send MLflow what it lacks"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("name", metavar="NAME", help="the study's name")
    parser.add_argument(
        "--storage", type=Path, default=DEFAULT_STORAGE, metavar="DIR", help="where the studies lie (default: %(default)s)"
    )
    parser.add_argument("--no-tracking", action="store_true", help="leave MLflow alone")


def run(args: argparse.Namespace) -> int:
    """Print the report's path; exit 0 even if MLflow did not take everything, which is said in one line."""
    folder = find(args.storage, args.name)
    print(report.write(folder))
    if not args.no_tracking:
        _replay(folder, args.storage)
    return 0


def _replay(folder: Path, storage: Path) -> None:
    from raylab.cluster.tracking import default_uri, replay  # importing MLflow takes seconds

    flush = replay(folder, default_uri(storage), storage / "artifacts")
    print(flush.line or f"MLflow at {flush.uri} holds all of it.")
