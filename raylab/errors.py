"""The ways things go wrong that a person must hear about in one line.

`UserError` is a mistake in what was asked for: the command prints its one line and exits with code 2, before any
compute is spent. `Halted` is a fault of the machine on the way: one line, too, and exit code 1. `Diverged` and `OutOfMemory`
end a run, not a search.
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake of the caller: what was wrong, what was got, what was expected, what to do next, in one line."""


class Halted(Exception):
    """A fault of the machine that ends a search before its end and loses nothing that was done: what it was, what to do."""


class Diverged(Exception):
    """A run whose loss is no longer a number, or exploded; the run ends in the state `diverged`."""


class OutOfMemory(Exception):
    """A run that does not fit its device one row at a time; the run ends in the state `failed`, for this reason."""


def unknown(kind: str, got: str, known: Iterable[str], hint: str = "") -> UserError:
    """The error for a name that is not there, with the nearest one that is."""
    choices = sorted(known)
    near = difflib.get_close_matches(got, choices, n=1, cutoff=0.5)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    listed = f" Expected one of: {', '.join(choices)}." if choices else f" There is no {kind} yet."
    return UserError(f"unknown {kind} {got!r}.{meant}{listed}{' ' + hint if hint else ''}")
