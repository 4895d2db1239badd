"""A computation in a process of its own, whose end the caller survives."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar, cast

Result = TypeVar("Result")


class ProcessLost(Exception):
    """The process told no result. In words that follow "the process": what became of it."""


def apart(compute: Callable[..., Result], arguments: tuple[Any, ...], within_s: float) -> Result:
    """What `compute` returns, or raises, in a new process, which imports what it needs again. Function, arguments and result
    are pickled. Raises ProcessLost if the process ends without a result, or has none within so many seconds."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(sender, compute, arguments), daemon=True)
    process.start()
    sender.close()  # or the end of the process would not end the waiting
    with receiver:
        try:
            told = receiver.poll(within_s)
            result, error = receiver.recv() if told else (None, None)
        except EOFError:
            process.join()
            raise ProcessLost(_ended(process.exitcode or 0)) from None
        finally:
            process.kill()
            process.join()
    if not told:
        raise ProcessLost(f"told nothing for {within_s:.0f} s")
    if error is not None:
        raise error
    return cast(Result, result)


def _tell(sender: Connection, compute: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    outcome: tuple[Any, Exception | None]
    try:
        outcome = (compute(*arguments), None)
    except Exception as error:  # the caller's, as if it had been raised there
        outcome = (None, error)
    sender.send(outcome)


def _ended(exitcode: int) -> str:
    return f"was ended by {signal.Signals(-exitcode).name}" if exitcode < 0 else f"ended with exit code {exitcode}"
