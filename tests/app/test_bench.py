"""The frame that benchmarks run in; what they measure is theirs."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from raylab.app import bench
from raylab.app.cli import main


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch) -> None:
    """One benchmark, `speed`, that measures what it is told."""
    module = types.ModuleType("raylab.bench.speed")
    vars(module).update(
        HELP="how fast",
        configure=lambda parser: parser.add_argument("--factor", type=int, default=1),
        measure=lambda args: {"speed": 2.0 * args.factor},
        show=lambda result: print(f"speed {result['speed']}"),
    )
    monkeypatch.setitem(sys.modules, "raylab.bench.speed", module)
    monkeypatch.setattr(bench, "_files", lambda: {"speed": Path("speed.py")})


@pytest.mark.usefixtures("invented")
def test_a_benchmark_shows_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speed", "--factor", "3"]) == 0
    assert capsys.readouterr().out == "speed 6.0\n"


@pytest.mark.usefixtures("invented")
def test_json_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "speed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"speed": 2.0}


@pytest.mark.usefixtures("invented")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_goal_that_is_missed_is_exit_code_1(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    vars(sys.modules["raylab.bench.speed"])["met"] = lambda result: result["speed"] > 3
    assert main(["bench", "speed", *options]) == 1
    assert "2.0" in capsys.readouterr().out, "the figures are shown all the same"
    assert main(["bench", "speed", *options, "--factor", "2"]) == 0


@pytest.mark.usefixtures("invented")
@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["sped"], "Did you mean 'speed'?"),
        (["speed", "--facto", "2"], "Did you mean --factor?"),
        (["speed", "--factor", "x"], "invalid int value"),
        (["list", "--jsn"], "Did you mean --json?"),
    ],
)
def test_mistakes(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *argv]) == 2
    assert words in capsys.readouterr().err


def test_the_list_imports_no_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    before = {name for name in sys.modules if name.startswith("raylab.bench.")}
    assert main(["bench", "list", "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert all(told.values())
    assert {name for name in sys.modules if name.startswith("raylab.bench.")} == before
