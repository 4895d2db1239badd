"""The driver of a search over Ray Client: a process on the cluster's head that is heard, interrupted and waited for."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylab.cluster import client
from raylab.cluster.client import Client, _Driver
from raylab.errors import UserError


class _Context:
    gcs_address = "127.0.0.1:6379"


@pytest.fixture(autouse=True)
def in_an_actor(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process of Ray, which blocks SIGINT, on a head that was started in the background, which ignores it."""
    monkeypatch.setattr(client.ray, "get_runtime_context", _Context)
    handled, blocked = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    signal.signal(signal.SIGINT, handled)


def heard(driver: _Driver) -> list[str]:
    """All that it says."""
    return list(iter(driver.read, None))


def test_a_search_s_words_complaints_and_exit_code_come_through() -> None:
    driver = _Driver(["masking", "--trails", "3"])
    (line,) = heard(driver)
    assert line.startswith("raylab: unknown option --trails. Did you mean --trials?")
    assert driver.end() == 2


def test_it_joins_the_cluster_that_it_runs_on_and_ends_as_by_ctrl_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    search = tmp_path / "python"
    search.write_text(
        "#!/bin/sh\ntrap 'echo interrupted; exit 130' INT\necho $RAY_ADDRESS $*\nwhile true; do sleep 0.1; done\n",
        encoding="utf-8",
    )
    search.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(search))
    driver = _Driver(["masking", "--yes"])
    assert driver.read() == "127.0.0.1:6379 -m raylab.search masking --yes\n"
    driver.interrupt()
    assert heard(driver) == ["interrupted\n"]
    assert driver.end() == 130


def test_where_nobody_answers_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nobody answers at ray://no-such-host\.invalid:10001"):
        Client("ray://no-such-host.invalid:10001", tmp_path)
