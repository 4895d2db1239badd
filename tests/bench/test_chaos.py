"""The bench's arithmetic over invented ledgers; the kills themselves take minutes and belong to `raylab.bench chaos`."""

import argparse
import subprocess
import sys
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.bench import chaos
from raylab.bench._chaos import KINDS, targets
from raylab.bench.chaos import compare, kinds, steps_redone

Event = dict[str, Any]


def at(event: str, key: str = "a", time: float = 0.0, **fields: Any) -> Event:
    return {"event": event, "key": key, "time": time, **fields}


def curve(step: int, key: str = "a") -> Event:
    return at("curve", key, points=[{"step": step - 1}, {"step": step}])


def end(key: str = "a", score: float = 1.0) -> Event:
    return at("end", key, state="finished", metrics={"dev_f1": score}, scores={})


def restored(position: int) -> Event:
    return at("restored", attempt=2, position=position)


ALONE = [at("run"), at("start", lane=0, attempt=1), curve(9), end()]
LOST = at("lost", time=10.0, lane=0, attempt=1, position=12, reason="killed")
KILLED = [
    at("run"),
    at("start", lane=0, attempt=1),
    curve(9),
    LOST,
    at("start", time=17.5, lane=0, attempt=2),
    restored(5),
    end(),
]


def test_a_search_that_lost_nothing() -> None:
    assert compare(ALONE, KILLED, [("a", "FINISHED")]) == {
        "attempts_lost": 1, "steps_redone": 7, "longest_away_s": 7.5, "lost": 0, "duplicated": 0, "left_running": 0,
        "ledger_equal": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("killed", "rows", "found"),
    [
        (KILLED[:-1], [("a", "RUNNING")], {"lost": 1, "left_running": 1, "ledger_equal": False}),
        (KILLED, [], {"lost": 1, "ledger_equal": True}),
        ([*KILLED, end()], [("a", "FINISHED"), ("a", "FINISHED")], {"duplicated": 2}),
        ([*KILLED[:-1], end(score=0.9)], [("a", "FINISHED")], {"ledger_equal": False}),
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


def test_kills_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "chaos", "--kills", "0"]) == 2
    assert "expected at least 1" in capsys.readouterr().err


def test_it_shows_all_figures(capsys: pytest.CaptureFixture[str]) -> None:
    figures = compare(ALONE, KILLED, [("a", "FINISHED")])
    chaos.show({"kills": 1, "by_kind": {"worker": 1}, "recipes": 12, **figures})
    out = capsys.readouterr().out
    assert all(told in out for told in ("1 kills", "kills: worker", "steps redone", "7.5", "ledger equal"))


def test_ray_is_imported_only_to_measure() -> None:
    code = "import sys, raylab.bench.chaos; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_defaults() -> None:
    parser = argparse.ArgumentParser()
    chaos.configure(parser)
    assert vars(parser.parse_args([])) == {"kills": 8, "seed": 0}
