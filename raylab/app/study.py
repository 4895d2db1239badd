"""`raylab study NAME`: a comparison that a file of experiments/ declares, on paired seeds and test, with its table."""

import argparse
import time
from pathlib import Path

from raylab.app.base_option import add_base_argument
from raylab.app.data_options import add_data_arguments
from raylab.app.search import add_place_arguments, check_place
from raylab.errors import UserError

HELP = "run a study of experiments/: declared recipes on paired seeds, and the table of their differences"


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options. Those that decide results have no default here, as for a search."""
    parser.add_argument("study", metavar="NAME", nargs="?", help="which study, e.g. policies; without one they are listed")
    add_data_arguments(parser, dataset=False)
    what = parser.add_argument_group("study")
    what.add_argument("--dataset", metavar="A,B", help="on which data, where the study leaves it open (default: its own choice)")
    what.add_argument("--study-file", type=Path, metavar="FILE", help="a study of your own instead: a Python file")
    what.add_argument("--seeds", type=int, metavar="N", help="paired seeds (default: the study's own number)")
    what.add_argument("--seed", type=int, metavar="S", help="seed of the study (default: 0)")
    what.add_argument("--scale", metavar="SCALE", help="tiny, small or base (default: tiny, with a GPU small)")
    what.add_argument("--family", metavar="FAMILY", help="of models from random weights (default: t5)")
    add_base_argument(what, "a pretrained model instead of random weights")
    what.add_argument("--precision", metavar="TYPE", help="float32 or bfloat16 (default: float32, with a GPU bfloat16)")
    what.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="budget_tokens, finetune_steps or batch_size, for all its recipes"
    )
    how = parser.add_argument_group("how and where")
    how.add_argument("--plan", action="store_true", help="say which runs it is made of and what they cost, and stop")
    how.add_argument("--resume", metavar="NAME", help="go on with a study that stopped, by the name of its results")
    add_place_arguments(how)
    parser.set_defaults(command="study", source=None, answerable_only=None, splits=None)


def run(args: argparse.Namespace) -> int:
    """Run what is due of it. Exit 0 with a table, 1 if nothing finished, 130 if interrupted."""
    begun = time.monotonic()
    if not (args.study or args.study_file or args.resume):
        return _list()
    check(args)
    from raylab.app.comparison import compare, open_comparison, show_plan  # torch and Ray: only once the command line stands

    opened = open_comparison(args)
    return show_plan(opened, as_json=args.json) if args.plan else compare(opened, begun, args)


def check(args: argparse.Namespace) -> None:
    """Raise UserError for options that do not go together, or can't be."""
    if args.resume and (args.study or args.study_file):
        raise UserError(f"--resume {args.resume} goes on with the study of that name; leave out which study it is.")
    if args.address and args.address.startswith("ray://"):
        raise UserError("raylab study does not go through ray://; run it on a machine of the cluster, with --address auto.")
    check_place(args)


def _list() -> int:
    from raylab.app.console import console, table
    from raylab.search.comparison.declared import comparison_names, load_comparison

    found = [load_comparison(name) for name in comparison_names()]
    console().print(table("study", "asks", rows=[[one.name, one.question] for one in found]))
    return 0
