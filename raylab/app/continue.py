"""`raylab continue NAME`: a new study that takes over what an earlier one learnt, and asks for more."""  # noqa: N999

import argparse
from pathlib import Path

from raylab.app import search
from raylab.errors import UserError
from raylab.search.lineage import Trials

HELP = "continue a study: more trials, another space, failures tried again"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options. What decides numbers, the data, the model and the seed, is the parent's."""
    parser.add_argument("parent", metavar="NAME", help="the study to continue; nothing of it is changed")
    what = parser.add_argument_group("study")
    what.add_argument("--trials", dest="more", metavar="+N", help="recipes to try: so many more, or without + in all")
    what.add_argument("--retry-failed", action="store_true", help="run trials that failed again, e.g. after a fix")
    search.add_space_arguments(what, defaults="the parent's")
    what.add_argument("--free", action="append", default=[], metavar="KEY", help="search a choice that --set had fixed")
    what.add_argument("--data-dir", type=Path, metavar="DIR", help="where the same data lie by now")
    search.add_place_arguments(parser.add_argument_group("how and where"))
    search.add_cost_arguments(parser)
    given_by_parent = ("dataset", "source", "corpus", "splits", "text_column", "answerable_only", "max_examples", "max_passages",
                       "space", "trials", "seed", "scale", "family", "base", "precision")  # fmt: skip
    parser.set_defaults(command="continue", resume=None, go_on=False, **dict.fromkeys(given_by_parent))


def run(args: argparse.Namespace) -> int:
    """As of a search: exit 0 with a verdict, 1 if nothing finished, 130 if interrupted."""
    check(args)
    return search.run(args)


def check(args: argparse.Namespace) -> None:
    """Raise UserError for what can't be; settle how many trials are asked for."""
    if args.more is None and not args.retry_failed:
        raise UserError(f"how many more trials? Give them, e.g. `raylab continue {args.parent} --trials +20`, or --retry-failed.")
    args.more = Trials.of(args.more or "+0")
    if args.address and args.address.startswith("ray://"):
        raise UserError("raylab continue does not go through ray://; run it on a machine of the cluster, with --address auto.")
    search.check(args)
