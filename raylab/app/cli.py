"""The command line: `raylab COMMAND ...`, and the same as `python -m raylab.COMMAND ...`.

A command is a module of this folder with `HELP`, `configure(parser)` and `run(args) -> int`, imported only when it is
asked for. Exit codes: 0 done, 1 nothing finished, 2 a user's mistake (told in one line), 130 interrupted.
"""

import argparse
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import raylab
from raylab import __version__
from raylab.errors import Halted, UserError, unknown
from raylab.redaction import without_secrets

COMMANDS = {  # here, too, so that `raylab --help` imports none of them; a test holds it equal to their HELP
    "search": "search a space on a dataset, end with a verdict, a report and the winning model",
    "continue": "continue a study: more trials, another space, failures tried again",
    "submit": "run a search on a cluster, without this machine, and follow it",
    "study": "run a study of experiments/: declared recipes on paired seeds, and the table of their differences",
    "run": "run one recipe with one seed, without a search",
    "export": "write a study's winner as a Hugging Face model folder",
    "report": "write a study's report anew, and send MLflow what it lacks",
    "ui": "open the MLflow UI over a folder of studies",
    "list": "list the studies that are there",
    "show": "show one study, or what differs between two studies or two runs",
    "policy": "list the masking policies, show what one hides, learn one",
    "data": "list the tasks and corpora, show one as a search would read it, or check that they can be read",
    "cache": "show the cache of pretrained stages, or make it smaller",
    "doctor": "check packages, storage, tracking server, GPUs and a cluster's nodes",
    "bench": "run one of raylab's benchmarks",
}


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are one line, with the nearest name where one was mistyped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            raise self._unknown_argument(rest[0])
        return parsed, rest

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{' '.join(message.split())}. `{self.prog} --help` shows what it takes.")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise unknown(_spoken(action), str(value), map(str, action.choices))

    def _unknown_argument(self, got: str) -> UserError:
        name = got.split("=", 1)[0]
        options = [option for option in self._option_string_actions if option.startswith("--")]
        near = difflib.get_close_matches(name, options, n=1) if name.startswith("-") else []
        meant = f" Did you mean {near[0]}?" if near else ""
        kind = "option" if name.startswith("-") else "argument"
        return UserError(f"unknown {kind} {name}.{meant} `{self.prog} --help` shows what it takes.")


def main(argv: Sequence[str] | None = None, *, prog: str = "raylab") -> int:
    """Run one command line and return its exit code."""
    return _guarded(lambda: _dispatch(list(sys.argv[1:] if argv is None else argv), prog))


def run_module(command: str) -> NoReturn:
    """What `python -m raylab.COMMAND` does."""
    sys.exit(_guarded(lambda: _run(command, sys.argv[1:], f"python -m raylab.{command}")))


def _dispatch(argv: list[str], prog: str) -> int:
    parser = Parser(
        prog=prog, usage=f"{prog} COMMAND ...", description=_overview(prog), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"raylab {__version__}")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help=argparse.SUPPRESS)
    if not argv:
        parser.print_help()
        return 0
    if argv[0].startswith("-"):
        parser.parse_args(argv)
    if argv[0] not in COMMANDS:
        raise unknown("command", argv[0], COMMANDS)
    return _run(argv[0], argv[1:], f"{prog} {argv[0]}")


def _run(command: str, argv: Sequence[str], prog: str) -> int:
    module = importlib.import_module(f"raylab.app.{command}")
    parser = Parser(prog=prog, description=f"{module.HELP[:1].upper()}{module.HELP[1:]}.")
    module.configure(parser)
    args = parser.parse_args(argv)
    args.argv = list(argv)
    status = module.run(args)
    sys.stdout.flush()  # a reader that has gone is noticed here, not in the interpreter's last breath
    return int(status)


def _guarded(command: Callable[[], int]) -> int:
    """Turn what a command raises into an exit code; what nobody foresaw keeps its traceback."""
    try:
        return command()
    except (UserError, Halted) as error:
        print(f"raylab: {without_secrets(' '.join(str(error).split()))}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except ModuleNotFoundError as error:
        if not _is_needed(error):
            raise
        print(
            f"raylab: {sys.executable} has no {error.name}, which raylab needs. Run it with the Python that has it, or "
            "install it there: pip install -c constraints.txt -e .",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the exit's own flush must not fail again
        return 0
    except SystemExit as stop:  # argparse, after --help and --version
        return int(stop.code or 0)


def _is_needed(error: ModuleNotFoundError) -> bool:
    """Was it a package that raylab's own code imports, not somebody else's code?"""
    by = [frame.filename for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen ")]
    own = str(Path(raylab.__file__).parent) + os.sep
    return by[-1].startswith(own) and (error.name or "").partition(".")[0] != "raylab"


def _overview(prog: str) -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    what = "Search the choices between a base model and a finetuned one, and tell truth from luck."
    return f"{what}\n\n{rows}\n\n`{prog} COMMAND --help` shows a command's options."


def _spoken(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
