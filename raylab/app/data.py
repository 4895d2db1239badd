"""`raylab data`: what tasks and corpora there are, what one of them holds, whether they can be read, and which tasks a model may
learn before another."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from raylab.app.data_options import add_data_arguments, add_source_arguments, request_from
from raylab.data import local
from raylab.data.atlas.tasks import TASKS
from raylab.data.corpora import CORPORA
from raylab.data.family import Family, family_of, known
from raylab.data.remembered import load_again
from raylab.data.source import ATLAS, DataRequest, builtin, fingerprint, known_datasets, load
from raylab.data.task import (
    QUESTION_ANSWERING,
    SPLITS,
    Choice,
    Example,
    Extract,
    Labelled,
    Question,
    Rewrite,
    Scored,
    Tagged,
    TaskData,
)  # fmt: skip
from raylab.errors import UserError, unknown

HELP = "list the tasks and corpora, show one as a search would read it, or check that they can be read"
SHOWN = 160  # characters of an example


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|validate|sources")
    listing = actions.add_parser("list", help="the tasks and corpora there are")
    listing.add_argument("--data-dir", type=Path, metavar="DIR", help="list the folders of DIR as well")
    show = actions.add_parser("show", help="load a task: its family, measures, splits and source, three examples")
    show.add_argument("dataset", metavar="NAME_OR_PATH")
    add_data_arguments(show, dataset=False)
    validate = actions.add_parser(
        "validate", help="read every row of a task, a corpus, or a folder of them, and say what is wrong"
    )
    validate.add_argument("dataset", nargs="?", metavar="NAME_OR_PATH", help="a task or corpus, or a folder that holds several")
    validate.add_argument("--data-dir", type=Path, metavar="DIR", help="where a name's folder lies")
    validate.add_argument("--all", action="store_true", help="all that raylab knows by name, as far as it lies on this machine")
    sources = actions.add_parser(
        "sources", help="the tasks that a search for a mixture before this one would have, and why not others"
    )
    sources.add_argument("dataset", metavar="NAME_OR_PATH")
    add_data_arguments(sources, dataset=False)
    add_source_arguments(sources)


def run(args: argparse.Namespace) -> int:
    """Carry out the action; 0, or UserError."""
    {"list": _list, "show": _show, "validate": _validate, "sources": _sources}[args.action](args)
    return 0


def _list(args: argparse.Namespace) -> None:
    rows = [("NAME", "KIND", "MEASURE", "FROM", "LICENCE")]
    rows += [(name, _kind(name), _measure(_family(name)), f"builtin:{name}", "public domain and MIT") for name in builtin()]
    rows += [
        (d.name, family.name(), getattr(d, "measure", "") or _measure(family), f"hub:{d.hub.id}", d.licence)
        for family, d in known().values()
    ]
    rows += [(c.name, "corpus", "", f"hub:{c.hub.id}", c.licence) for c in CORPORA.values()]
    if args.data_dir:
        local.check_data_dir(args.data_dir)
        found = {name: kind for name, kind in local.kinds(args.data_dir).items() if kind != local.OTHER}
        rows += [
            (
                name,
                kind,
                "" if kind == local.CORPUS else _measure(family_of(kind)),
                f"local:{args.data_dir / name}",
                "see its folder",
            )
            for name, kind in found.items()
        ]
    _print_columns(rows)


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _family(name: str) -> type[Family]:
    """The family of a built-in task."""
    return family_of(QUESTION_ANSWERING if name == ATLAS else TASKS[name].family)


def _kind(name: str) -> str:
    return f"{QUESTION_ANSWERING}, corpus" if name == ATLAS else _family(name).name()


def _measure(family: type[Family]) -> str:
    return next(iter(family.measures))


def _show(args: argparse.Namespace) -> None:
    data = load(request_from(args))
    print(*_summary(data), *(f"example: {_one_line(e, data.labels)}" for e in data.splits["train"][:3]), sep="\n")


def _sources(args: argparse.Namespace) -> None:
    from raylab.app.sources import Wanted, sources_of  # torch, which the other actions do without
    from raylab.training.objective import Objective

    request = request_from(args)
    target = load_again(request)
    writes = Objective.registry.get(target.family).writes  # so does the model that a search takes where none is named
    found = sources_of(target, request, Wanted.of(vars(args), writes=writes))
    rows = [("NAME", "FAMILY", "TRAIN", f"IN {target.name}'S DEV AND TEST")]
    rows += [
        (source.data.name, source.data.family, f"{len(source.data.splits['train']):,}", f"{100 * source.shared:.2g} %")
        for source in found.taken.values()
    ]
    _print_columns(rows)
    for name, reason in found.left_out.items():
        print(f"left out: {name}: {reason}")


def _summary(data: TaskData) -> list[str]:
    family = family_of(data.family)
    words = sum(len(passage.text.split()) for passage in data.corpus)
    sizes = ", ".join(f"{split} {len(data.splits[split]):,}" for split in SPLITS)
    return [
        f"{data.name}, version {data.version}, from {data.source}",
        f"family: {family.name().replace('_', ' ')}, measured by {', '.join(family.measures)}",
        *([f"classes: {len(data.labels):,}: {_shortened(', '.join(data.labels))}"] if data.labels else []),
        f"{family.noun}s: {sizes}",
        f"corpus: {data.corpus_name}, {len(data.corpus):,} passages, {words:,} words",
        f"fingerprint: {fingerprint(data)}",
        *(f"note: {note}" for note in data.notes),
        *(f"WARNING: {warning}" for warning in data.warnings),
    ]


def _one_line(example: Example, labels: tuple[str, ...]) -> str:
    asked = " ".join(" | ".join(example.inputs()).split())
    return f"{_shortened(asked)} -> {_expected(example, labels)}"


def _expected(example: Example, labels: tuple[str, ...]) -> str:
    match example:
        case Question():
            others = [answer for answer in example.answers if answer != example.answer]
            shown = f" (also {', '.join(others[:4])}{', ...' if len(others) > 4 else ''})" if others else ""
            return f"{example.answer}{shown}"
        case Labelled():
            return labels[example.label]
        case Scored():
            return f"{example.score:g}"
        case Choice():
            return example.choices[example.label]
        case Extract():
            return f"{example.answers[0]} (at {example.starts[0]})"
        case Tagged():
            marked = [
                f"{word}/{labels[tag]}" for word, tag in zip(example.tokens, example.tags, strict=True) if labels[tag] != "O"
            ]
            return _shortened(" ".join(marked) or "no tag but O")
        case Rewrite():
            return _shortened(" ".join(example.target.split()))
    raise TypeError(f"no way to show an example of {type(example).__name__}")


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _validate(args: argparse.Namespace) -> None:
    if (args.dataset is None) != args.all:
        raise UserError("raylab data validate takes either a NAME_OR_PATH, or --all. Give one of them.")
    if args.all:
        _validate_each(_everything(args.data_dir))
        return
    path = local.find(args.dataset, args.data_dir)
    if path is None and args.dataset in builtin():
        print(_valid_builtin(args.dataset))
    elif path is None and args.dataset in known():
        print(_valid_entry(args.dataset))
    elif path is None and args.dataset in CORPORA:
        raise UserError(
            f"{args.dataset} by itself names no local files. Give --data-dir DIR with DIR/{args.dataset}/, or a path."
        )
    elif path is None:
        raise unknown("dataset", args.dataset, known_datasets(args.data_dir), "A folder is given by its path.")
    elif local.holds_folders(path):
        _validate_each(_folders(path))
    else:
        print(_valid_files(path))


Check = tuple[str, Callable[[], str]]  # what is checked, and how: what there is to say, or UserError


def _validate_each(checks: Iterator[Check]) -> None:
    """One line for each; UserError at the end if any has a mistake."""
    wrong, count = [], 0
    for name, check in checks:
        count += 1
        try:
            print(check())
        except UserError as error:
            wrong.append(name)
            print(f"{name}: MISTAKE: {error}")
    if wrong:
        raise UserError(f"{len(wrong)} of {count} have a mistake: {', '.join(wrong)}. Each has its line above.")


def _everything(data_dir: Path | None) -> Iterator[Check]:
    yield from ((name, partial(_valid_builtin, name)) for name in builtin())
    yield from ((name, partial(_valid_entry, name)) for name in known())
    if data_dir is not None:
        local.check_data_dir(data_dir)
        yield from _folders(data_dir)


def _folders(folder: Path) -> Iterator[Check]:
    """The tasks and corpora of a folder."""
    for name in (*local.tasks(folder), *local.corpora(folder)):
        yield name, partial(_valid_files, local.find(name, folder) or folder / name)


def _valid_builtin(name: str) -> str:
    return _valid(name, load(DataRequest(dataset=name)))


def _valid_entry(name: str) -> str:
    """The invented rows of a dataset known by name, through the code that reads the Hub's."""
    family, dataset = known()[name]
    read = family.read(
        {"train": [(str(i), f"{name}, invented row {i}", row) for i, row in enumerate(dataset.invented())]}, dataset
    )
    return f"{name}: {family.name()}, its {len(read.splits['train'])} invented rows are read; no mistake found"


def _valid_files(path: Path) -> str:
    if local.kind_of(path) == local.CORPUS:
        return f"{path}: {len(local.read_corpus(path)):,} passages, no mistake found"
    family, examples = local.read_examples(path, {})
    if family.name() != QUESTION_ANSWERING:
        return _valid(str(path), load(DataRequest(dataset=str(path))))
    sizes = ", ".join(f"{split} {len(rows):,}" for split, rows in examples.splits.items())
    passages = f"{len(examples.passages):,} passages"
    return "\n".join((f"{path}: {family.name()}, {sizes} {family.noun}s, {passages}, no mistake found", *examples.notes))


def _valid(name: str, data: TaskData) -> str:
    sizes = ", ".join(f"{split} {len(data.splits[split]):,}" for split in SPLITS)
    classes = f", {len(data.labels)} classes" if data.labels else ""
    return f"{name}: {data.family}, {sizes} {family_of(data.family).noun}s{classes}, no mistake found"
