"""The long checks themselves take an hour; here is what they run, and when they fail."""

import json
import subprocess
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from raylab.app.cli import main as raylab
from tests import verify

BENCHES = ("chaos", "masking", "overhead", "scaling", "trials", "verdict")


class Commands:
    """Stands for the commands: those whose words are named fail, or find no winner."""

    def __init__(self, *, fail: Sequence[str] = (), lose: Sequence[str] = ()) -> None:
        self.fail, self.lose = fail, lose
        self.ran: list[list[str]] = []

    def run(self, command: Sequence[str], **_: Any) -> Any:
        words = list(command[2:])
        self.ran.append(words)
        failed = any(word in self.fail for word in words)
        verdict = {"decision": "worse" if any(word in self.lose for word in words) else "better", "sentence": "It is so."}
        told = dict.fromkeys(BENCHES, "") if "list" in words else {"verdict": verdict}
        return SimpleNamespace(returncode=int(failed), stdout="" if failed else f"words\n{json.dumps(told)}\n")


def verified(monkeypatch: pytest.MonkeyPatch, commands: Commands) -> int:
    monkeypatch.setattr(subprocess, "run", commands.run)
    return verify.main()


def test_all_benches_are_run_and_chaos_with_forty_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands()
    assert verified(monkeypatch, commands) == 0
    assert [words[1:] for words in commands.ran if words[0] == verify.BENCH][1:] == [
        [name, *(("--kills", "40") if name == "chaos" else ())] for name in BENCHES
    ]
    seeds = [words[words.index("--seed") + 1] for words in commands.ran if words[0] == "raylab.search"]
    assert seeds == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("commands", "told"),
    [
        (Commands(fail=["scaling"]), "Did not hold: bench scaling."),
        (Commands(fail=["long"]), "Did not hold: long tests."),
        (Commands(fail=["chaos"]), "Did not hold: bench chaos."),
        (Commands(fail=["list"]), "Did not hold: bench list."),
        (Commands(fail=["demo-1"]), "Did not hold: demo-1."),
        (Commands(lose=["demo-2"], fail=["trials"]), "Did not hold: demo-2, bench trials."),
    ],
)
def test_one_that_does_not_hold_fails_it_and_the_others_are_run(
    commands: Commands, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verified(monkeypatch, commands) == 1
    assert capsys.readouterr().out.splitlines()[-1] == told
    assert len(commands.ran) >= len(verify.SEEDS) + 1


def test_the_benches_are_listed_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert raylab(["bench", "list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out.splitlines()[-1])) >= set(BENCHES)
