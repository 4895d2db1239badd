"""raylab report: write a study's report anew from its ledger, and send MLflow what it lacks."""

import argparse
from pathlib import Path

from raylab.app.storage import add_storage_argument
from raylab.errors import UserError
from raylab.search import report
from raylab.search.comparison import written as comparison
from raylab.search.ledger import Study
from raylab.search.studies import find
from raylab.search.upkeep import Upkeep, ended
from raylab.storage import Storage

HELP = "write a study's report anew, and send MLflow what it lacks"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("name", metavar="NAME", help="the study's name")
    add_storage_argument(parser)
    parser.add_argument("--no-tracking", action="store_true", help="leave MLflow alone")


def run(args: argparse.Namespace) -> int:
    """Print the report's path; exit 0 even if MLflow did not take everything, which is said in one line."""
    folder = find(args.storage, args.name)
    if comparison.is_comparison(Study.read(folder)):
        print(comparison.write(folder))
    else:
        (args.storage / args.name).fetch(report.MASKS)
        print(report.write(folder))
    if args.storage.bucket:
        _take_there(args.storage / args.name)
    if not args.no_tracking:
        _replay(folder, args.storage.here)
    return 0


def _take_there(study: Storage) -> None:
    """The report and what else only this machine has, unless the study is being run."""
    try:
        with Upkeep(study, ended(Study.read(study.here)), tell=print) as upkeep:
            pass
        print(upkeep.trouble or f"{study} holds it, too.")
    except UserError as error:
        print(f"It was not taken to the bucket: {error}")


def _replay(folder: Path, storage: Path) -> None:
    from raylab.cluster.tracking import default_uri, replay  # importing MLflow takes seconds

    flush = replay(folder, default_uri(storage), storage / "artifacts")
    print(flush.line or f"MLflow at {flush.place} holds all of it.")
