"""What goes along with a search that runs on another machine: raylab, and the files and folders that its options name."""

import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from raylab.app import search
from raylab.app.cli import Parser
from raylab.data.local import is_path
from raylab.errors import UserError

MOST_BYTES = 100_000_000  # Ray keeps what is sent in the memory of the cluster's head
_BESIDE = ("search_spaces", "experiments")  # of a checkout; a wheel has them inside the package
_PATHS = ("--data-dir", "--space-file", "--plugins", "--policy")
_NAME_OR_PATH = ("--dataset", "--target", "--corpus")
_NAMES_OR_PATHS = "--sources"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A search as it is asked for there. name: the study's; None if it is only planned. arguments: of `raylab search`, with
    paths below the folder that is sent. along: the paths that go there, by the place they get."""

    name: str | None
    arguments: tuple[str, ...]
    along: dict[str, Path]

    @classmethod
    def of(cls, argv: Sequence[str], *, in_place: bool = False) -> "Parcel":
        """Wrap up a search's own arguments. in_place: its paths are those of the cluster, and nothing of them goes along.

        Raises UserError, as the search itself would, for what it does not take; for results that would lie where nobody finds
        them again; and for more than may go along."""
        asked = _parsed(argv)
        _check(asked, argv)
        along: dict[str, Path] = {}
        own = list(_without_place(argv))
        arguments = own if in_place else list(_sent(own, along))
        _check_size(along)
        name = None if asked.plan else asked.name or asked.resume or _new_name(asked)
        if name and not (asked.name or asked.resume):
            arguments += ["--name", name]
        return cls(name=name, arguments=(*arguments, "--address", "auto"), along=along)

    def fill(self, folder: Path) -> int:
        """Put everything into `folder`, which is sent. Returns the number of bytes."""
        from raylab.cluster.connection import copy_code

        copy_code(folder)
        package = Path(sys.modules["raylab"].__file__ or "").parent
        for name in _BESIDE:
            if not (package / name).is_dir() and (package.parent / name).is_dir():
                shutil.copytree(package.parent / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name, path in self.along.items():
            if path.is_dir():
                shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".git"))
            else:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / name)
        return _size(folder)


def _parsed(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog="raylab search")
    search.configure(parser)
    asked = parser.parse_args(list(argv))
    asked.address, asked.yes = "auto", True  # it runs on a cluster, and nobody is there who could be asked
    search.check(asked)
    return asked


def _check(asked: Namespace, argv: Sequence[str]) -> None:
    where = next((value for option, value in _options(argv) if option == "--storage"), None)
    if where is None or not (where.startswith("/") or "://" in where):
        got = "is missing" if where is None else f"is {where}"
        raise UserError(
            f"--storage {got}: the results of a search that runs on a cluster must lie where they stay and all its nodes see "
            "them. Give s3://BUCKET/PATH, gs://BUCKET/PATH, or a shared folder's path in full."
        )


def _without_place(argv: Sequence[str]) -> Iterator[str]:
    """Without what says where it runs, and whether to ask."""
    for option, value in _options(argv):
        if option != "--address" and (option or value != "--yes"):
            yield from (option, value) if option else (value,)


def _sent(argv: Sequence[str], along: dict[str, Path]) -> Iterator[str]:
    """The arguments with the places that paths get there; what lies here is noted in `along`."""
    for option, value in _options(argv):
        if option in _PATHS:
            yield from (option, _placed(option, value, along))
        elif option in _NAME_OR_PATH or option == _NAMES_OR_PATHS:
            names = value.split(",") if option == _NAMES_OR_PATHS else [value]
            yield from (option, ",".join(f"./{_placed(option, name, along)}" if _lies_here(name) else name for name in names))
        else:
            yield from (option, value) if option else (value,)


def _lies_here(name: str) -> bool:
    """Whether a name is a path of this machine, and not that of a task in a folder of several below --data-dir."""
    return is_path(name) and (name.startswith(("~", ".", "/")) or Path(name).exists())


def _placed(option: str, value: str, along: dict[str, Path]) -> str:
    """The place that a path of this machine gets there."""
    path = Path(value).expanduser().resolve()
    if not path.exists():
        raise UserError(f"{option} {value}: there is nothing of that name here. If it is a path of the cluster: --in-place.")
    place = f"along/{len(along)}/{path.name}"
    along[place] = path
    return place


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) of `--option value` and `--option=value`, for options that take one of interest; ("", argument) else."""
    taking = (*_PATHS, *_NAME_OR_PATH, _NAMES_OR_PATHS, "--storage", "--address")
    rest = iter(argv)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option not in taking:
            yield "", argument
        else:
            yield option, value if equals else next(rest, "")


def _check_size(along: dict[str, Path]) -> None:
    sizes = {path: _size(path) for path in along.values()}
    if sum(sizes.values()) > MOST_BYTES:
        largest = max(sizes, key=lambda path: sizes[path])
        raise UserError(
            f"{largest} holds {sizes[largest] / 1e6:,.0f} MB; at most {MOST_BYTES / 1e6:.0f} MB go along with a search. Put it "
            "into a folder that the cluster's nodes see, give that path, and --in-place, which says that paths are the cluster's."
        )


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _new_name(asked: Namespace) -> str:
    space = asked.space or asked.space_file.stem
    dataset = Path(asked.dataset or "triviaqa").name.split(".")[0] or "data"
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in f"{space}-{dataset}-{datetime.now():%Y%m%d-%H%M%S}")
