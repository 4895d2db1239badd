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


@pytest.fixture
def three(invented: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Three benchmarks: one takes an hour, one fails, and one has a goal that it is asked about; what they measure by name."""
    sources = {"long": 'HELP = "all day"\nMINUTES = 60\n', "none": 'HELP = "nothing"\n', "speed": 'HELP = "how fast"\n'}
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(bench, "_files", lambda: {name: tmp_path / f"{name}.py" for name in sources})
    measured: dict[str, dict[str, Any]] = {"long": {"speed": 9.0}, "none": {"exit": 2}, "speed": {"speed": 3.0}}
    monkeypatch.setattr(bench, "_apart", lambda name: measured[name])
    told = {"met": lambda result: False, "compared": lambda result: [("speed; the peer's", result["speed"], 2.0)]}
    vars(sys.modules["raylab.bench.speed"]).update(told)
    return measured


def test_all_is_one_table(three: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "all", "--json"]) == 1, "one failed"
    *told, last = capsys.readouterr().out.splitlines()
    lines = {line.split()[0]: line for line in told if line.strip() and not line.endswith("...")}
    assert "left out: it takes about 60 minutes" in lines["long"]
    assert "failed" in lines["none"]
    assert lines["speed"].split()[1:] == ["speed;", "the", "peer's", "3", "2", "1.50", "met"]
    assert json.loads(last) == {"long": {"left_out_minutes": 60}, "none": {"exit": 2}, "speed": {"speed": 3.0}}


def test_a_goal_missed_is_told_among_all(three: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    del three["none"]["exit"]
    three["speed"]["exit"] = 1
    assert main(["bench", "all"]) == 1
    assert capsys.readouterr().out.rstrip().endswith("missed")


def test_all_takes_as_long_as_it_may(
    three: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "raylab.bench.long", types.ModuleType("raylab.bench.long"))
    three["none"]["exit"] = 0
    main(["bench", "all", "--minutes", "60"])
    out = capsys.readouterr().out
    assert "left out" not in out and "all day" in out, "one without a comparison says what it measures"
