"""A search that is submitted to a cluster: followed, left, lost with the cluster's head, and gone on with."""

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raylab.app import submit
from raylab.app.cli import main
from raylab.cluster import submission
from raylab.cluster.submission import LostError
from raylab.errors import UserError

STORAGE = "s3://bucket/raylab"
Run = Callable[..., tuple[int, str, str]]
SEARCH = ("search", "masking", "--name", "mine", "--storage", STORAGE)


class Cluster:
    """What Jobs does, with a cluster that behaves as the test tells it: follows are what following a job comes to, one
    after another: an exit code, or an exception."""

    def __init__(self, *follows: int | BaseException, answers: bool = True, keeps: bool = False, not_yet: int = 0) -> None:
        self.follows, self.answers, self.keeps, self.not_yet = list(follows), answers, keeps, not_yet
        self.submitted: list[str] = []
        self.folders: list[set[str]] = []
        self.followed: list[str] = []
        self.asked: list[str] = []

    def __call__(self, address: str) -> "Cluster":
        self.address = address
        return self

    def submit(self, name: str, command: str, folder: Path) -> str:
        if self.submitted and self.not_yet:
            self.not_yet -= 1
            raise UserError("the cluster did not take it: no agent yet")
        self.submitted.append(command)
        self.folders.append({path.name for path in folder.iterdir()})
        return name if len(self.submitted) == 1 else f"{name}@{len(self.submitted)}"

    def newest(self, name: str) -> str:
        self.asked.append(name)
        return f"{name}@3"

    def follow(self, job: str, write: Callable[[str], None]) -> int:
        self.followed.append(job)
        write(f"log of {job}\n")
        told = self.follows.pop(0)
        if isinstance(told, BaseException):
            raise told
        return told

    def is_there(self, job: str) -> bool:
        return self.keeps

    def wait(self, limit_s: float) -> bool:
        return self.answers


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `raylab submit` on such a cluster; its exit code, output and what it says beside that."""
    monkeypatch.setattr(submit, "PAUSE_S", 0.0)
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)

    def run(cluster: Cluster, *argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr(submission, "Jobs", cluster)
        status = main(["submit", *argv])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_it_is_sent_followed_and_ends_as_the_search_does(on: Run, status: int) -> None:
    cluster = Cluster(status)
    got, out, err = on(cluster, "--address", "http://head:8265", *SEARCH)
    assert got == status
    assert out == "log of mine\n"
    assert "it runs there as job mine" in err and "Ctrl-C leaves it running" in err
    assert cluster.address == "http://head:8265"
    (command,) = cluster.submitted
    assert command == f"python -m raylab.search masking --name mine --storage {STORAGE} --address auto --yes"
    assert {"raylab", "search_spaces"} <= cluster.folders[0]


def test_the_dashboard_of_this_machine_or_of_the_environment(on: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(0)
    on(cluster, *SEARCH)
    assert cluster.address == "http://127.0.0.1:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://elsewhere:8265")
    cluster = Cluster(0)
    on(cluster, *SEARCH)
    assert cluster.address == "http://elsewhere:8265"


def test_it_need_not_be_followed(on: Run) -> None:
    cluster = Cluster()
    status, out, err = on(cluster, "--detach", *SEARCH)
    assert (status, out, cluster.followed) == (0, "", [])
    assert "--follow mine" in err and "ray job stop --address http://127.0.0.1:8265 mine" in err


def test_an_interrupt_leaves_it_running(on: Run) -> None:
    status, _, err = on(Cluster(KeyboardInterrupt()), *SEARCH)
    assert status == 130
    assert "mine goes on without this terminal" in err and "--follow mine" in err


def test_following_again_takes_the_newest(on: Run) -> None:
    cluster = Cluster(0)
    status, out, _ = on(cluster, "--follow", "mine")
    assert (status, out) == (0, "log of mine@3\n")
    assert (cluster.submitted, cluster.asked) == ([], ["mine"])


def test_a_lost_search_is_gone_on_with(on: Run) -> None:
    cluster = Cluster(LostError("the cluster does not answer"), LostError("its driver was lost"), 0, not_yet=2)
    status, out, err = on(cluster, *SEARCH)
    assert status == 0
    assert out == "log of mine\nlog of mine@2\nlog of mine@3\n"
    assert "mine was lost: the cluster does not answer." in err and "mine@2 was lost: its driver was lost." in err
    assert "goes on as job mine@3 (2 of at most 10 times)" in err
    first, *others = cluster.submitted
    assert "--go-on" not in first
    assert others == [first.replace(" --yes", " --go-on --yes")] * 2
    assert all("raylab" in folder for folder in cluster.folders), "all is sent again: a new head has nothing"


def test_what_was_resumed_is_resumed_again(on: Run) -> None:
    cluster = Cluster(LostError("gone"), 0)
    on(cluster, "search", "--resume", "mine", "--storage", STORAGE)
    assert cluster.submitted[0] == cluster.submitted[1]
    assert "--resume mine" in cluster.submitted[0]


def test_a_job_that_lived_through_it_is_followed_on(on: Run) -> None:
    cluster = Cluster(LostError("the connection went"), 0, keeps=True)
    status, _, err = on(cluster, *SEARCH)
    assert status == 0
    assert cluster.followed == ["mine", "mine"] and len(cluster.submitted) == 1
    assert "mine is still there." in err


def test_a_cluster_that_does_not_come_back(on: Run) -> None:
    status, _, err = on(Cluster(LostError("the cluster does not answer"), answers=False), "--wait", "60", *SEARCH)
    assert status == 1
    assert "Waiting for the cluster, at most 60 s" in err and "did not answer again" in err


def test_a_search_that_is_lost_again_and_again(on: Run) -> None:
    cluster = Cluster(*[LostError("gone") for _ in range(20)])
    status, _, err = on(cluster, *SEARCH)
    assert status == 1
    assert len(cluster.submitted) == 1 + submit.RESUMES
    assert "--resume" in err


def test_what_was_lost_while_only_followed_needs_its_files(on: Run) -> None:
    cluster = Cluster(LostError("gone"))
    status, _, err = on(cluster, "--follow", "mine")
    assert (status, cluster.submitted) == (1, [])
    assert "from the machine that has its files" in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "give a search to submit"),
        (("--follow", "mine", *SEARCH), "give a search to submit"),
        (("serch",), "unknown search 'serch'"),
        ((*SEARCH, "--address", "http://head:8265"), "--address comes before `search`"),
        ((*SEARCH, "--address=http://head:8265"), "--address comes before `search`"),
        ((*SEARCH, "--trails", "3"), "unknown option --trails. Did you mean --trials?"),
        (("search", "masking"), "--storage is missing"),
        (("--address", "head:8265", *SEARCH), "--address head:8265 is no dashboard of Ray. Expected http://HOST:PORT"),
        (("--address", "ray://head:10001", *SEARCH), "--address ray://head:10001 is no dashboard of Ray"),
        (("--wait", "soon", *SEARCH), "argument --wait: invalid float value: 'soon'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(argv: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"raylab: {words}") and err.count("\n") == 1, err


@pytest.fixture
def free_port() -> Iterator[int]:
    """Bound, not listening: nobody else takes it, and nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def server(status: int, text: str) -> Iterator[str]:
    """A web server that answers everything so."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            """Keep the test's output clean."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_nobody_answers(capsys: pytest.CaptureFixture[str], free_port: int) -> None:
    assert main(["submit", "--address", f"http://127.0.0.1:{free_port}", *SEARCH]) == 2
    err = capsys.readouterr().err
    assert (
        err.startswith(f"raylab: nobody answers at http://127.0.0.1:{free_port} (Connection refused).") and err.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (200, "hello", "is not Ray's dashboard (status 200)"),
        (404, "", "is not Ray's dashboard (status 404)"),
        (401, "", "refuses the token of this process, or its lack of one: set RAY_AUTH_MODE=token"),
    ],
)
def test_something_else_answers(status: int, text: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with server(status, text) as address:
        assert main(["submit", "--address", address, *SEARCH]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
