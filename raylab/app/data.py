"""`raylab data`: what data there are, what one of them holds, and whether files can be read."""

import argparse
from pathlib import Path

from raylab.app.data_options import add_data_arguments, request_from
from raylab.data import local
from raylab.data.corpora import CORPORA
from raylab.data.family import known
from raylab.data.source import ATLAS, fingerprint, known_datasets, load
from raylab.data.task import SPLITS, Question, TaskData
from raylab.errors import UserError, unknown

HELP = "list the datasets, or show one as a search would read it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the three actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|validate")
    listing = actions.add_parser("list", help="the datasets and corpora there are")
    listing.add_argument("--data-dir", type=Path, metavar="DIR", help="list the folders of DIR as well")
    show = actions.add_parser("show", help="load a dataset: its splits, its source, three examples")
    show.add_argument("dataset", metavar="NAME_OR_PATH")
    add_data_arguments(show, dataset=False)
    validate = actions.add_parser("validate", help="read every row of a local dataset or corpus and say what is wrong")
    validate.add_argument("dataset", metavar="NAME_OR_PATH")
    validate.add_argument("--data-dir", type=Path, metavar="DIR", help="where a name's folder lies")


def run(args: argparse.Namespace) -> int:
    """Carry out the action; 0, or UserError."""
    {"list": _list, "show": _show, "validate": _validate}[args.action](args)
    return 0


def _list(args: argparse.Namespace) -> None:
    rows = [("NAME", "KIND", "FROM", "LICENCE"), (ATLAS, "both", "builtin:atlas", "public domain and MIT")]
    rows += [(d.name, family.name(), f"hub:{d.hub.id}", d.licence) for family, d in known().values()]
    rows += [(c.name, "corpus", f"hub:{c.hub.id}", c.licence) for c in CORPORA.values()]
    if args.data_dir:
        local.check_data_dir(args.data_dir)
        found = {name: kind for name, kind in local.kinds(args.data_dir).items() if kind != local.OTHER}
        rows += [(name, kind, f"local:{args.data_dir / name}", "see its folder") for name, kind in found.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _show(args: argparse.Namespace) -> None:
    data = load(request_from(args))
    print(*_summary(data), *(f"example: {_one_line(e)}" for e in data.splits["train"][:3]), sep="\n")


def _summary(data: TaskData) -> list[str]:
    words = sum(len(passage.text.split()) for passage in data.corpus)
    sizes = ", ".join(f"{split} {len(data.splits[split]):,}" for split in SPLITS)
    return [
        f"{data.name}, version {data.version}, from {data.source}",
        f"questions: {sizes}",
        f"corpus: {data.corpus_name}, {len(data.corpus):,} passages, {words:,} words",
        f"fingerprint: {fingerprint(data)}",
        *(f"note: {note}" for note in data.notes),
        *(f"WARNING: {warning}" for warning in data.warnings),
    ]


def _one_line(example: Question) -> str:
    others = [answer for answer in example.answers if answer != example.answer]
    shown = f" (also {', '.join(others[:4])}{', ...' if len(others) > 4 else ''})" if others else ""
    return f"{example.question} -> {example.answer}{shown}"


def _validate(args: argparse.Namespace) -> None:
    path = local.find(args.dataset, args.data_dir)
    if path is None and args.data_dir is None and args.dataset in (ATLAS, *known(), *CORPORA):
        raise UserError(
            f"{args.dataset} by itself names no local files. Give --data-dir DIR with DIR/{args.dataset}/, or a path."
        )
    if path is None:
        raise unknown("dataset", args.dataset, known_datasets(args.data_dir), "A folder is given by its path.")
    if local.kind_of(path) == "corpus":
        print(f"{path}: {len(local.read_corpus(path)):,} passages, no mistake found")
        return
    family, examples = local.read_examples(path, {})
    sizes = ", ".join(f"{split} {len(rows):,}" for split, rows in examples.splits.items())
    print(f"{path}: {sizes} {family.noun}s, {len(examples.passages):,} passages, no mistake found", *examples.notes, sep="\n")
