"""raylab from Python and notebooks: the same searches, with the same options and checks as the command line's."""

import argparse
import contextlib
import importlib
import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raylab.app.cli import Parser
from raylab.errors import UserError, unknown
from raylab.search.ledger import Study as Told
from raylab.search.studies import DEFAULT_STORAGE, find
from raylab.storage import Storage

if TYPE_CHECKING:  # not needed until a table is asked for
    import pandas as pd  # type: ignore[import-untyped]

    from raylab.app.opening import Opened
    from raylab.search.plan import Plan

_OF_THE_COMMAND = ("-h", "--resume", "--go-on", "--plan", "--json", "--yes")  # options that mean nothing here


class Study:
    """A search to be planned and run. Options are those of `raylab search`, with underscores: `raylab.Study("masking",
    dataset="triviaqa", trials=12, set={"budget_tokens": 100_000})`; lists stand where an option may be repeated or takes
    names, booleans for flags. With continues="NAME" they are those of `raylab continue`: trials="+20".

    Raises UserError, here and in `plan` and `run`, for what the commands refuse.
    """

    def __init__(self, space: str | None = None, /, *, continues: str | None = None, **options: Any) -> None:
        if space is not None and continues is not None:
            raise UserError(f"Study({space!r}, continues={continues!r}): a study that continues another has its space.")
        logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)  # once Ray is imported it advises what is not used
        self._command = importlib.import_module(f"raylab.app.{'continue' if continues else 'search'}")
        self._args = _parsed(self._command, [continues or space], options)
        self._command.check(self._args)
        if self._args.address and self._args.address.startswith("ray://"):
            raise UserError("a Study does not go through ray://; use `raylab submit`, or run it on a machine of the cluster.")

    @property
    def name(self) -> str | None:
        """Its name; None until it has been run, unless one was given."""
        return self._args.resume or self._args.name

    def plan(self) -> "Cost":
        """What it would cost. Measures a few steps, and trains nothing."""
        from raylab.app.planning import caps_of, checked_plan

        opened = self._opened()
        return Cost(plan=checked_plan(opened, caps_of(self._args)), opened=opened)

    def run(self) -> "Result":
        """Run it to its verdict, or go on with it: after an interrupt, or with more room under its caps."""
        from raylab.app.planning import caps_of
        from raylab.app.search_options import DECIDING
        from raylab.app.session import INTERRUPTED, search

        begun, opened = time.monotonic(), self._opened()
        name = opened.conduct.study.name
        with _signals_kept():
            status = search(opened, begun, caps=caps_of(self._args), quiet=self._args.quiet, as_json=False)
        for option in ("name", "parent", *DECIDING):  # the ledger knows them now
            setattr(self._args, option, None)
        self._args.resume = name
        if status == INTERRUPTED:
            raise KeyboardInterrupt  # the cells below must not go on as if it had ended
        return Result(name=name, folder=opened.placement.folder, study=Told.read(opened.placement.folder))

    def _opened(self) -> "Opened":
        from raylab.app.opening import open_study  # torch and Ray

        return open_study(self._args)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a study would cost. Each figure is (at least, at most), or None where it is not known. plan: all of it."""

    plan: "Plan"
    opened: "Opened"

    @property
    def tokens(self) -> tuple[float, float]:
        """Corpus tokens."""
        return self.plan.tokens.low, self.plan.tokens.high

    @property
    def seconds(self) -> tuple[float, float] | None:
        """Wall time."""
        return None if self.plan.trouble else (self.plan.seconds.low, self.plan.seconds.high)

    @property
    def usd(self) -> tuple[float, float] | None:
        """Of all devices, at the price that was given."""
        return (self.plan.usd.low, self.plan.usd.high) if self.plan.usd else None

    def __repr__(self) -> str:
        return "\n".join(f"{name:<8}  {told}" for name, told in self._told())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(told)}</td></tr>" for name, told in self._told())
        return f"<table>{rows}</table>"

    def _told(self) -> list[tuple[str, str]]:
        from raylab.app.planning import plan_in_words

        return list(plan_in_words(self.plan, self.opened))


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A study as its ledger tells it. folder: where it lies on this machine. study: all that is in the ledger."""

    name: str
    folder: Path
    study: Told

    @property
    def verdict(self) -> dict[str, Any] | None:
        """The decision with its figures and its `sentence`; None if there is none yet, or no trial finished."""
        return self.study.verdict

    @property
    def winner(self) -> dict[str, Any] | None:
        """The winner's recipe, in its JSON form."""
        from raylab.search.report.page import winning_run

        run = winning_run(self.study)
        return run.recipe if run else None

    @property
    def report(self) -> Path:
        """The page that shows it all."""
        return self.folder / "report.html"

    def table(self) -> "pd.DataFrame":
        """A row a run, the best first, with the columns of runs.csv: what was drawn, its scores and what it cost."""
        import pandas as pd

        from raylab.search.report.table import with_values

        return pd.DataFrame(with_values(self.study))

    def __repr__(self) -> str:
        return f"{self.name}: {(self.verdict or {}).get('sentence', 'no verdict yet')}"

    def _repr_html_(self) -> str:
        told = [(self.verdict or {}).get("sentence", "No verdict yet."), *self.study.data.get("warnings", ())]
        lines = "".join(f"<p>{escape(line)}</p>" for line in told)
        columns = ["role", "label", "state", "score", "score_low", "score_high", "n_seeds", "dev", "test"]
        table = self.table()
        return f"<h4>{escape(self.name)}</h4>{lines}{table[columns].to_html(index=False, na_rep='') if len(table) else ''}"


def load(name: str, storage: str | Path | Storage = DEFAULT_STORAGE) -> Result:
    """A study that has been run, or is being run. Raises UserError with the nearest name if there is none."""
    place = storage if isinstance(storage, Storage) else Storage.of(storage)
    folder = find(place, name)
    return Result(name=name, folder=folder, study=Told.read(folder))


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray leaves handlers of its own, which would end the notebook's process otherwise than it expects."""
    if threading.current_thread() is not threading.main_thread():  # it sets none there, and nor could this
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parsed(command: Any, names: list[str | None], options: Mapping[str, Any]) -> argparse.Namespace:
    """The options as the command's own parser takes them."""
    parser = Parser(prog="raylab.Study")
    command.configure(parser)
    long = {action.option_strings[0]: action for action in parser._actions if action.option_strings}
    known = {name.removeprefix("--").replace("-", "_"): action for name, action in long.items() if name not in _OF_THE_COMMAND}
    argv = [name for name in names if name is not None]
    for name, value in options.items():
        if name not in known:
            raise unknown("option", name, known)
        argv += _arguments(known[name], value)
    args = parser.parse_args(argv)
    args.argv, args.yes = argv, True  # whoever calls `run` has agreed
    return args


def _arguments(action: argparse.Action, value: Any) -> Iterator[str]:
    """An option as it stands on a command line."""
    option = action.option_strings[0]
    if value is None or (action.nargs == 0 and value is False and len(action.option_strings) == 1):
        return
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UserError(f"{option.removeprefix('--').replace('-', '_')} is {value!r}; expected True or False.")
        yield action.option_strings[0 if value else -1]
    elif isinstance(action, argparse._AppendAction):
        yield from (f"{option}={one}" for one in _several(value))
    else:
        yield f"{option}={','.join(_several(value))}"


def _several(value: Any) -> list[str]:
    """One value or many; a mapping as KEY=VALUE."""
    if isinstance(value, Mapping):
        return [f"{key}={one}" for key, one in value.items()]
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]
