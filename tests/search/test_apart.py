"""A computation in a process of its own: its result, its error, its end."""

import os
import time

import pytest

from raylab.search.apart import ProcessLost, apart


def test_its_result_is_told() -> None:
    assert apart(divmod, (7, 2), 60.0) == (3, 1)


def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        apart(divmod, (7, 0), 60.0)


def test_its_end_is_not_the_caller_s() -> None:
    with pytest.raises(ProcessLost, match=r"^ended with exit code 3$"):
        apart(os._exit, (3,), 60.0)
    with pytest.raises(ProcessLost, match=r"^was ended by SIGABRT$"):
        apart(os.abort, (), 60.0)


def test_it_may_not_take_for_ever() -> None:
    with pytest.raises(ProcessLost, match=r"^told nothing for 0 s$"):
        apart(time.sleep, (3600.0,), 0.2)
