"""`raylab search SPACE`: from a command line to a verdict. Everything is put together here."""

import argparse
import math
import re
import sys
import time
from pathlib import Path

from raylab.app.base_option import add_base_argument
from raylab.app.cache import size
from raylab.app.data_options import add_data_arguments, add_source_arguments
from raylab.app.storage import add_storage_argument
from raylab.errors import UserError

HELP = "search a space on a dataset, end with a verdict, a report and the winning model"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")  # a folder's name that needs no quotes in a shell
_TAKEN = ("artifacts", "data", "memory", "mlflow.db", "products", "single", "stages")  # what lies beside the studies
# Placement's, which takes Ray to import; a test holds them equal
CHECKPOINT_EVERY_S, HANG_AFTER_S, CACHE_BYTES = 30.0, 300.0, 20 * 10**9
LOG_LEVELS = ("debug", "info", "warning", "error")


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options. Those that decide results have no default here: what was given must be told apart from
    what was not, so that a resumed study is not given other settings by mistake."""
    parser.add_argument("space", metavar="SPACE", nargs="?", help="what to search, e.g. masking")
    add_data_arguments(parser)
    what = parser.add_argument_group("study")
    what.add_argument("--trials", type=int, metavar="N", help="recipes to try (default: 12)")
    what.add_argument("--seed", type=int, metavar="S", help="seed of the study (default: 0)")
    what.add_argument("--scale", metavar="SCALE", help="tiny, small or base (default: tiny, with a GPU small)")
    what.add_argument(
        "--family", metavar="FAMILY", help="t5, bart, roberta or lstm, from random weights (default: what fits the data)"
    )
    add_base_argument(what, "a checkpoint instead of random weights: an encoder-decoder, or an encoder")
    what.add_argument("--precision", metavar="TYPE", help="float32 or bfloat16 (default: float32, with a GPU bfloat16)")
    add_space_arguments(what)
    how = parser.add_argument_group("how and where")
    how.add_argument("--resume", metavar="NAME", help="go on with a study that stopped")
    how.add_argument("--go-on", action="store_true", help="go on with the study of this --name if it has begun already")
    add_place_arguments(how)
    add_cost_arguments(parser)
    parser.set_defaults(
        command="search", dataset=None, source=None, answerable_only=None, splits=None, parent=None, retry_failed=False, free=[]
    )


def add_space_arguments(what: argparse._ActionsContainer, defaults: str = "") -> None:
    """What is searched, and how. defaults: whose they are, if not a search's own."""

    def default(own: str) -> str:
        return f"(default: {defaults or own})"

    what.add_argument("--space-file", type=Path, metavar="FILE", help="a space of your own instead: a Python file")
    add_source_arguments(what)
    what.add_argument("--policies", metavar="A,B", help=f"masking policies to search {default('all heuristics, and supervised')}")
    what.add_argument(
        "--policy", type=_folder, action="append", metavar="CARD",
        help="search a learned masking policy, too: the folder of its card; may be repeated",
    )  # fmt: skip
    what.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="fix budget_tokens, finetune_steps, batch_size or a choice of the space",
    )
    what.add_argument(
        "--prior",
        action="append",
        metavar="STUDY",
        help="try first what an earlier study found best, the more of it the more alike the data are; may be repeated",
    )
    what.add_argument("--metric", metavar="METRIC", help=f"what selects and decides {default('what fits the data')}")
    what.add_argument(
        "--seeds", type=int, metavar="N",
        help=f"most fresh paired seeds of the verdict; a clear one takes 3 {default('10')}",
    )  # fmt: skip
    what.add_argument(
        "--sampler",
        metavar="NAME",
        help="who proposes recipes: gp (a Gaussian process) and tpe learn from the trials so far, random draws each by itself, "
        "list draws the same ones whatever happens, decided by --seed alone, to do the same work twice and compare "
        f"{default('gp')}",
    )
    what.add_argument("--scheduler", metavar="NAME", help=f"asha or none {default('asha from 24 trials up')}")


def add_place_arguments(how: argparse._ActionsContainer) -> None:
    """Where a study runs and lies, and how it tells."""
    how.add_argument(
        "--lanes",
        type=int,
        metavar="N",
        help="recipes that run side by side, each on workers of its own (default: as many as fit)",
    )
    how.add_argument(
        "--workers-per-lane", type=_workers, default=1, metavar="W",
        help="data-parallel workers of a run, or with --address a range, e.g. 1:4: as many as there are (default: 1)",
    )  # fmt: skip
    how.add_argument(
        "--runs-per-lane", type=int, metavar="N",
        help="runs that share a lane's one worker; their training steps are computed as one where that is found to pay "
        "(default: 4 on a GPU, else 1)",
    )  # fmt: skip
    how.add_argument("--gpus-per-worker", type=float, metavar="G", help="GPUs of a worker (default: 1 where there are any)")
    how.add_argument(
        "--checkpoint-every",
        type=float,
        default=CHECKPOINT_EVERY_S,
        metavar="SECONDS",
        help="how much work a run loses at most with a lost worker (default: %(default)g)",
    )
    how.add_argument(
        "--hang-after",
        type=float,
        default=HANG_AFTER_S,
        metavar="SECONDS",
        help="restart a lane that tells nothing of its run for so long; loading a model may take minutes (default: %(default)g)",
    )
    how.add_argument(
        "--address", metavar="ADDRESS", help="a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT (default: this machine)"
    )
    how.add_argument("--yes", action="store_true", help="begin on a cluster without asking")
    add_storage_argument(how)
    how.add_argument(
        "--cache-size", type=size, default=CACHE_BYTES, metavar="SIZE",
        help="how much the models after pretraining, which recipes that begin alike share, may take of a disk; 0 for none "
        "(default: 20GB)",
    )  # fmt: skip
    how.add_argument("--name", metavar="NAME", help="the study's name (default: space, dataset and time)")
    how.add_argument(
        "--plugins", type=Path, action="append", default=[], metavar="DIR", help="your own policies, laid out like raylab/"
    )
    how.add_argument("--quiet", action="store_true", help="print the outcome alone")
    how.add_argument("--json", action="store_true", help="make the last line of standard output one JSON object")
    how.add_argument(
        "--log-level", default="error", choices=LOG_LEVELS, metavar="LEVEL", help="of Ray's messages (default: error)"
    )


def add_cost_arguments(parser: argparse.ArgumentParser) -> None:
    """What a study may cost, and what it would. Caps are hard, and keep the verdict its share."""
    cost = parser.add_argument_group("cost")
    cost.add_argument("--plan", action="store_true", help="say what it would cost, and stop")
    cost.add_argument("--price", type=float, metavar="USD", help="of a device (a worker's GPU, or its core) and an hour")
    cost.add_argument("--max-tokens", type=_count, metavar="N", help="read no more than so many corpus tokens in all")
    cost.add_argument("--max-hours", type=float, metavar="H", help="work no longer")
    cost.add_argument("--max-cost", type=float, metavar="USD", help="hold devices for no more than that, at --price")


def _folder(text: str) -> str:
    """A folder's path in full, so that a study can be resumed from another one."""
    return str(Path(text).expanduser().resolve())


def _count(text: str) -> int:
    """A whole number, also as 2e6 or 2_000_000."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number != number or math.isinf(number) or number != int(number):
        raise UserError(f"--max-tokens is {text!r}; expected a whole number of corpus tokens, e.g. 2_000_000.")
    return int(number)


def _workers(text: str) -> int | tuple[int, int]:
    """A number of workers, or the fewest and the most of them: "1:4"."""
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", text):
        raise UserError(f"--workers-per-lane is {text!r}; expected a positive number, or the fewest and the most, e.g. 1:4.")
    fewest, _, most = text.partition(":")
    if most and int(most) < int(fewest):
        raise UserError(f"--workers-per-lane is {text}; expected the fewest workers first, e.g. {most}:{fewest}.")
    return (int(fewest), int(most)) if most and most != fewest else int(fewest)


def run(args: argparse.Namespace) -> int:
    """Search, or go on with a search. Exit 0 with a verdict, 1 if nothing finished, 130 if interrupted."""
    begun = time.monotonic()
    check(args)
    if args.address and args.address.startswith("ray://"):
        from raylab.app.elsewhere import search_there

        return search_there(args)
    from raylab.app.opening import open_study  # torch and Ray: only once the command line stands
    from raylab.app.planning import caps_of, show_plan
    from raylab.app.session import search

    caps = caps_of(args)
    opened = open_study(args)
    if args.plan:
        return show_plan(opened, caps, as_json=args.json)
    ask = bool(args.address) and not args.yes
    return search(opened, begun, caps=caps, quiet=args.quiet, as_json=args.json, ask=ask)


def check(args: argparse.Namespace) -> None:
    """Raise UserError for options that do not go together, or can't be."""
    if not (args.space or args.space_file or args.resume or args.parent):
        raise UserError("no space to search. Name one, e.g. `raylab search masking --dataset triviaqa`.")
    if args.go_on and not args.name:
        raise UserError("--go-on is about the study of a --name; give one.")
    check_place(args)


def check_place(args: argparse.Namespace) -> None:
    """Raise UserError for options of `add_place_arguments` that do not go together, or can't be."""
    if args.resume and args.name:
        raise UserError("--resume goes on under the study's own name; leave --name out.")
    if args.address and not (args.yes or args.plan or sys.stdin.isatty()):
        raise UserError(
            "a search on a cluster begins once you have agreed to its plan, and there is no terminal to ask. Give --yes."
        )
    for option in ("lanes", "runs_per_lane", "checkpoint_every", "hang_after"):
        value = getattr(args, option)
        if value is not None and not value > 0:  # "nan" is a float, too
            raise UserError(f"--{option.replace('_', '-')} is {value:g}; expected a positive number.")
    if isinstance(args.workers_per_lane, tuple) and not args.address:
        fewest, most = args.workers_per_lane
        raise UserError(
            f"--workers-per-lane {fewest}:{most} is for a cluster, where workers come and go. Give a number, or --address."
        )
    if (args.runs_per_lane or 1) > 1 and args.workers_per_lane != 1:
        raise UserError(
            f"--runs-per-lane {args.runs_per_lane} is for lanes of one worker, and --workers-per-lane asks for more; give one of "
            "the two."
        )
    if args.gpus_per_worker is not None and not args.gpus_per_worker >= 0:
        raise UserError(f"--gpus-per-worker is {args.gpus_per_worker:g}; expected 0 or more.")
    if args.name is not None and not (_PLAIN_NAME.fullmatch(args.name) and args.name not in _TAKEN):
        raise UserError(
            f"--name {args.name!r} is no name for a study. Expected letters, digits, '.', '_' and '-', e.g. my-study, "
            f"and none of {', '.join(_TAKEN)}."
        )
