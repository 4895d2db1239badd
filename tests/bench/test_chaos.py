"""The bench's arithmetic over invented ledgers; the kills themselves take minutes and belong to `raylab.bench chaos`."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from raylab.app import search as command
from raylab.app.cli import Parser, main
from raylab.bench import chaos
from raylab.bench._chaos import recipes
from raylab.bench._chaos.faults import FULL_BYTES, KINDS, Harm, Target, _full, _talk, send, targets
from raylab.bench._chaos.nodes import _tree
from raylab.bench._chaos.nodes import end as end_all
from raylab.bench._chaos.search import POLICIES, SPACE, Search, _plugins
from raylab.bench.chaos import FEWEST, compare, kinds, met, steps_redone
from raylab.recipe import ModelSpec, encode
from raylab.registry import add_plugins
from raylab.search.ledger import Ledger
from raylab.search.listed import listed
from raylab.search.space import Setting, load_space

Event = dict[str, Any]


def at(event: str, key: str = "a", time: float = 0.0, **fields: Any) -> Event:
    return {"event": event, "key": key, "time": time, **fields}


def curve(step: int, key: str = "a") -> Event:
    return at("curve", key, points=[{"step": step - 1}, {"step": step}])


def end(key: str = "a", score: float = 1.0, state: str = "finished") -> Event:
    return at("end", key, state=state, metrics={"dev_f1": score}, scores={})


def restored(position: int) -> Event:
    return at("restored", attempt=2, position=position)


ALONE = [at("run", role="explore"), at("start", lane=0, attempt=1), curve(9), end()]
LOST = at("lost", time=10.0, lane=0, attempt=1, position=12, reason="killed")
KILLED = [
    at("run", role="explore"),
    at("start", lane=0, attempt=1),
    curve(9),
    LOST,
    at("start", time=17.5, lane=0, attempt=2),
    restored(5),
    end(),
]


def test_a_search_that_lost_nothing() -> None:
    assert compare(ALONE, KILLED, [("a", "FINISHED")]) == {
        "recipes": 1, "attempts_lost": 1, "steps_redone": 7, "longest_away_s": 7.5, "given_up": 0, "lost": 0, "duplicated": 0,
        "left_running": 0, "ledger_equal": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("killed", "rows", "found"),
    [
        (KILLED[:-1], [("a", "RUNNING")], {"lost": 1, "left_running": 1, "ledger_equal": False}),
        (KILLED, [], {"lost": 1, "ledger_equal": True}),
        ([*KILLED, end()], [("a", "FINISHED"), ("a", "FINISHED")], {"duplicated": 2}),
        ([*KILLED[:-1], end(score=0.9)], [("a", "FINISHED")], {"ledger_equal": False}),
        ([*KILLED[:-1], end(state="failed")], [("a", "FAILED")], {"given_up": 1, "ledger_equal": False}),
    ],
)
def test_what_went_wrong_is_counted(killed: list[Event], rows: list[tuple[str, str]], found: dict[str, Any]) -> None:
    result = compare(ALONE, killed, rows)
    assert {name: result[name] for name in found} == found


def test_steps_are_redone_from_the_checkpoint_to_where_the_run_was() -> None:
    assert steps_redone([curve(40), restored(30)]) == 10, "a killed driver tells of no loss"
    assert steps_redone([curve(40), LOST, restored(40)]) == 0
    twice = [curve(40), restored(30), curve(35), restored(30)]
    assert steps_redone(twice) == 15


def test_every_kind_of_kill_comes_once_before_any_comes_again() -> None:
    order = kinds(9, seed=3)
    assert order == kinds(9, seed=3) != kinds(9, seed=4)
    assert sorted(order[: len(KINDS)]) == sorted(KINDS)
    assert len(order) == 9


def test_only_what_trains_and_can_lose_another_attempt_is_a_target() -> None:
    events = [
        {"event": "worker", "lane": lane, "rank": 0, "host": "here", "pid": 100 + lane} for lane in range(3)
    ] + [
        at("start", "a", lane=0, attempt=1), curve(9, "a"),
        at("start", "b", lane=1, attempt=1),  # has told nothing yet
        at("start", "c", lane=2, attempt=3), curve(9, "c"),  # its last attempt
    ]  # fmt: skip
    (target,) = targets(events)
    assert (target.key, target.lane, target.pids) == ("a", 0, (100,))
    assert targets([*events, end("a")]) == []
    assert targets([*events, {"event": "resumed"}]) == []
    lost = [*events, at("lost", "a", lane=0, attempt=1), at("start", "a", lane=1, attempt=2), curve(12, "a")]
    assert [(t.lane, t.attempt, t.pids) for t in targets(lost)] == [(1, 2, (101,))], "another lane took it up"


def invented(tmp_path: Path, *events: Event) -> Search:
    """A search that has told so much and goes on, as a process that does nothing."""
    search = Search(storage=tmp_path, name="killed", trials=1, tracking_uri="")
    search.ledger.parent.mkdir()
    with contextlib.closing(Ledger(search.ledger.parent)) as ledger:
        for event in events:
            ledger.append(**{name: value for name, value in event.items() if name != "time"})
    return search


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_a_signal_reaches_our_own_processes_alone(sleeper: subprocess.Popen[bytes]) -> None:
    assert not send([os.getppid(), os.getpid()], signal.SIGTERM)
    assert send([sleeper.pid], signal.SIGSTOP)
    os.waitpid(sleeper.pid, os.WUNTRACED)
    assert psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED
    assert send([sleeper.pid], signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL


def test_a_checkpoint_is_cut_only_where_there_is_one_before_it(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    harm = Harm(invented(tmp_path), None, None, None)  # type: ignore[arg-type]
    target = Target(lane=0, key="a", attempt=1, pids=(sleeper.pid,))
    files = [tmp_path / "killed" / "runs" / "a" / f"step_{n:06d}" / "model.safetensors" for n in (1, 2)]
    for file in files:
        file.parent.mkdir(parents=True)
    files[0].write_bytes(bytes(1000))
    assert not harm.checkpoint(target)
    assert sleeper.poll() is None
    files[1].write_bytes(bytes(1000))
    assert harm.checkpoint(target)
    assert sleeper.wait() == -signal.SIGKILL
    assert [file.stat().st_size for file in files] == [1000, 500]


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="only Linux limits another process")
def test_a_full_disk_is_one_process_and_passes(tmp_path: Path) -> None:
    code = "import sys; sys.stdin.readline(); open(sys.argv[1], 'wb').write(bytes(int(sys.argv[2])))"
    mine, its = tmp_path / "mine", tmp_path / "its"
    command = [sys.executable, "-c", code, str(its), str(2 * FULL_BYTES)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process, _full([process.pid]):
        mine.write_bytes(bytes(2 * FULL_BYTES))
        assert b"File too large" in process.communicate(b"\n")[1]
    assert its.stat().st_size <= FULL_BYTES
    with subprocess.Popen(command, **pipes) as process:
        with _full([process.pid]):
            pass
        assert process.communicate(b"\n")[1] == b""
    assert its.stat().st_size == 2 * FULL_BYTES


def test_a_node_is_its_own_processes_alone(sleeper: subprocess.Popen[bytes]) -> None:
    """This process started others, too, such as the tracking server that the search's rows are read from."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(0, flush=True); import time; time.sleep(600)'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as top:
        assert top.stdout is not None and top.stdout.readline()
        gone = SimpleNamespace(process=SimpleNamespace(pid=2**30))
        tree = _tree(SimpleNamespace(all_processes={"raylet": [SimpleNamespace(process=top)], "log_monitor": [gone]}))
        end_all(tree, patience_s=0.0)
        assert len(tree) == 2
    assert sleeper.poll() is None


LISTENS = "s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(600)"
CALLS = "s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print('up', flush=True); time.sleep(600)"


def test_who_talks_to_whom() -> None:
    with contextlib.ExitStack() as stack:
        one, port = talking(stack, LISTENS)
        other, _ = talking(stack, LISTENS)
        caller, _ = talking(stack, CALLS, port)
        assert _talk(caller, [one])
        assert not _talk(caller, [other])


def talking(stack: contextlib.ExitStack, code: str, *arguments: str) -> tuple[int, str]:
    """The pid of a process, and the line that it said."""
    command = [sys.executable, "-c", f"import socket, sys, time; {code}", *arguments]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    return process.pid, process.stdout.readline().strip()


def test_the_list_has_twelve_recipes_and_one_that_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raylab.registry._plugin_folders", [])
    add_plugins(_plugins(tmp_path))
    space = load_space("recipes", SPACE)
    setting = Setting(task="atlas", base=ModelSpec(), policies=POLICIES, budget_tokens=60_000, finetune_steps=20)
    drawn = [listed(space, setting, 0, number)[0] for number in range(FEWEST)]
    families = [space.family(recipe) for recipe in drawn]
    assert families[0] == space.baseline_family, "the plan measures it here"
    assert len({str(encode(recipe)) for recipe in drawn}) >= 12
    poisoned = {str(encode(recipe)) for recipe in drawn if space.family(recipe) == recipes.POISON}
    assert len(poisoned) == 1 < families.count(recipes.POISON), "all but its first trial are cached"


def test_the_command_is_the_search_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun, and then resumed; what it is given, `raylab search` takes."""
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: commands.append(command))
    Search(storage=tmp_path, name="killed", trials=1, tracking_uri="", address="auto").start()
    invented(tmp_path, at("interrupted")).start()
    begun, resumed = commands
    assert begun[1:3] == resumed[1:3] == ["-m", "raylab.search"]
    assert "--resume" not in begun and resumed[resumed.index("--resume") + 1] == "killed"
    for arguments in commands:
        parser = Parser()
        command.configure(parser)
        command.check(parser.parse_args(arguments[3:]))


@pytest.mark.parametrize(
    ("changed", "reached"),
    [({}, True), ({"kills": 7}, False), ({"lost": 1}, False), ({"duplicated": 1}, False), ({"left_running": 1}, False),
     ({"ledger_equal": False}, False), ({"steps_redone": 40}, True)],
)  # fmt: skip
def test_the_goal_is_that_every_kill_was_done_and_did_no_harm(changed: dict[str, Any], reached: bool) -> None:
    figures = {"asked": 8, "kills": 8, **compare(ALONE, KILLED, [("a", "FINISHED")])}
    assert met(figures) and met({**figures, **changed}) == reached


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "chaos", "--kills", "0"]) == 2
    assert "expected at least 1" in capsys.readouterr().err
    assert main(["bench", "chaos", "--storage", str(tmp_path)]) == 2
    assert "give a folder that is yet to be made" in capsys.readouterr().err


def test_it_shows_all_figures(capsys: pytest.CaptureFixture[str]) -> None:
    figures = compare(ALONE, KILLED, [("a", "FINISHED")])
    chaos.show({"asked": 1, "kills": 1, "by_kind": {"worker": 1}, **figures})
    out = capsys.readouterr().out
    assert all(told in out for told in ("1 kills", "kills: worker", "steps redone", "7.5", "ledger equal", "Met."))


def test_defaults() -> None:
    parser = argparse.ArgumentParser()
    chaos.configure(parser)
    assert vars(parser.parse_args([])) == {"kills": 8, "seed": 0, "storage": None}
