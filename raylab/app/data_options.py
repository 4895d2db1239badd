"""The options that say which data a command reads; shared by all commands that do."""

import argparse
from pathlib import Path
from typing import get_args

from raylab.data.source import DataRequest, Source
from raylab.data.task import SPLITS
from raylab.errors import UserError, unknown


def add_data_arguments(parser: argparse.ArgumentParser, *, dataset: bool = True) -> None:
    """Add --dataset (unless the command takes it as an argument of its own) and all that narrows it down."""
    group = parser.add_argument_group("data")
    if dataset:
        group.add_argument(
            "--dataset", "--target", default="triviaqa", metavar="NAME_OR_PATH", help="what to learn (default: triviaqa)"
        )
    group.add_argument("--source", choices=get_args(Source), default="auto", help="where it is read from (default: auto)")
    group.add_argument("--data-dir", type=Path, metavar="DIR", help="a folder with a folder for each dataset and corpus")
    group.add_argument("--corpus", metavar="NAME_OR_PATH", help="the passages that pretraining reads (or a task, for its text)")
    group.add_argument("--text-column", metavar="COLUMN", help="where the corpus's rows have their text (default: text)")
    group.add_argument(
        "--splits", type=_splits, default={}, metavar="train=F,dev=F,test=F", help="which local file is which split"
    )
    group.add_argument(
        "--answerable-only", action=argparse.BooleanOptionalAction, default=True,
        help="keep only questions of which an accepted answer stands in the corpus (default: yes)",
    )  # fmt: skip
    group.add_argument("--max-examples", type=int, metavar="N", help="read at most N questions of each split")
    group.add_argument("--max-passages", type=int, metavar="N", help="read at most N passages")


def add_source_arguments(parser: argparse._ActionsContainer) -> None:
    """Add what says which tasks are learned before the target, where a mixture of them is; what is not given is None."""
    parser.add_argument(
        "--sources", type=_names, metavar="A,B",
        help="the tasks that may be mixed, by name or path (a search's default: all built-in ones, and those of --data-dir)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-target-in-sources", action="store_true", default=None, help="mix the target's own train split in, too"
    )
    parser.add_argument(
        "--allow-overlap", action="store_true", default=None,
        help="mix in tasks of whose train split some stands in the target's dev and test, too",
    )  # fmt: skip


def request_from(args: argparse.Namespace) -> DataRequest:
    """The request that the options make. Raises UserError for limits that are not positive."""
    return DataRequest(
        dataset=args.dataset,
        source=args.source,
        data_dir=args.data_dir.expanduser() if args.data_dir else None,
        corpus=args.corpus,
        text_column=args.text_column,
        splits=args.splits,
        answerable_only=args.answerable_only,
        max_examples=args.max_examples,
        max_passages=args.max_passages,
    )


def _names(text: str) -> list[str]:
    """ "a, b" as a list. Raises UserError if it names nothing."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(
            "--sources names no task; expected names with commas between them, e.g. --sources atlas_topic,atlas_span."
        )
    return names


def _splits(text: str) -> dict[str, str]:
    """ "train=a.jsonl,test=b.jsonl" as a mapping. Raises UserError for anything else."""
    pairs = [part.partition("=") for part in text.split(",")]
    for split, equals, name in pairs:
        if not equals or not name.strip():
            raise UserError(f"--splits {text!r} is not of the form train=FILE,dev=FILE,test=FILE.")
        if split.strip() not in SPLITS:
            raise unknown("split", split.strip(), SPLITS)
    return {split.strip(): name.strip() for split, _, name in pairs}
