"""`raylab bench`: the measurements behind raylab's claims, each a file in raylab/bench/.

A bench has `HELP`, `configure(parser)`, `measure(args) -> dict` of plain JSON values, and `show(result)`. One with a goal that
raylab must not miss has `met(result) -> bool`, too: the exit code is 1 where it is missed. `compared(result)` is what `all`
tells of it, `MINUTES` what it takes where that is more than a few.
"""

import argparse
import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import raylab.bench
from raylab.app.cli import Parser
from raylab.app.console import console, print_json, table
from raylab.bench import Compared
from raylab.errors import UserError, unknown

HELP = "run one of raylab's benchmarks"
MINUTES = 10.0  # what `all` gives a bench


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a benchmark, or `list`, or `all`")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="the benchmark's own options, and --json")
    parser.set_defaults(prog=parser.prog)


def run(args: argparse.Namespace) -> int:
    if args.name == "list":
        return _list(_json_wanted(args, "list"))
    if args.name == "all":
        return _all(args)
    if args.name not in _files():
        raise unknown("benchmark", args.name, [*_files(), "list", "all"])
    bench = importlib.import_module(f"raylab.bench.{args.name}")
    parser = _parser(args, args.name)
    bench.configure(parser)
    return _measure(bench, parser.parse_args(args.options))


def _parser(args: argparse.Namespace, name: str) -> Parser:
    parser = Parser(prog=f"{args.prog} {name}")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")
    return parser


def _json_wanted(args: argparse.Namespace, name: str) -> bool:
    return bool(_parser(args, name).parse_args(args.options).json)


def _measure(bench: ModuleType, args: argparse.Namespace) -> int:
    result = bench.measure(args)
    if args.json:
        print_json(result)
    else:
        bench.show(result)
    return 0 if getattr(bench, "met", lambda result: True)(result) else 1


def _files() -> dict[str, Path]:
    folder = Path(raylab.bench.__path__[0])
    return {path.stem: path for path in sorted(folder.glob("[!_]*.py"))}


def _list(as_json: bool) -> int:
    told = {name: _help(path) for name, path in _files().items()}
    if as_json:
        print_json(told)
    else:
        console().print(table("benchmark", "what it measures", rows=[[name, text] for name, text in told.items()]))
    return 0


def _help(path: Path) -> str:
    """A bench's HELP."""
    if told := _constant(path, "HELP"):
        return str(told)
    raise UserError(f"{path} has no HELP: one line that says what it measures.")


def _constant(path: Path, name: str) -> Any:
    """A constant of a bench, or None; read without importing it: that would import torch or Ray for a list of names."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=found)], value=value)
                | ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value)
            ) if found == name:
                return ast.literal_eval(value)
    return None


def _all(args: argparse.Namespace) -> int:
    """Every bench with its defaults, each in a process of its own, so that none is measured warm from another."""
    parser = _parser(args, "all")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, metavar="M",
        help="leave out those that take longer on two cores (default: %(default)g)",
    )  # fmt: skip
    options = parser.parse_args(args.options)
    results: dict[str, Any] = {}
    rows: list[list[str]] = []
    for name, path in _files().items():
        minutes = _constant(path, "MINUTES") or 0
        if minutes > options.minutes:
            results[name] = {"left_out_minutes": minutes}
            rows.append([name, f"left out: it takes about {minutes:g} minutes (--minutes {minutes:g})", "", "", "", ""])
            continue
        console().print(f"{name} ...", style="dim", markup=False)
        results[name] = _apart(name)
        rows += _rows(name, results[name])
    console().print(table("benchmark", "what, and what is beside it", ">raylab", ">beside", ">ratio", "goal", rows=rows))
    if options.json:
        print_json(results)
    return int(any("exit" in result for result in results.values()))


def _apart(name: str) -> dict[str, Any]:
    """What a bench measured in its own process; `exit` where it missed its goal, or failed, which it has said itself."""
    done = subprocess.run([sys.executable, "-m", "raylab.bench", name, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    last = (done.stdout.splitlines() or [""])[-1]
    measured = json.loads(last) if last.startswith("{") else {}  # one that raised has none
    return {**measured, **({"exit": done.returncode} if done.returncode else {})}


def _rows(name: str, result: dict[str, Any]) -> list[list[str]]:
    """What the table of all benches says of one."""
    if not result.keys() - {"exit"}:
        return [[name, "failed", "", "", "", ""]]
    bench = importlib.import_module(f"raylab.bench.{name}")
    goal = ("missed" if "exit" in result else "met") if hasattr(bench, "met") else ""
    found: list[Compared] = bench.compared(result) if hasattr(bench, "compared") else []
    rows = [[what, f"{ours:.3g}", f"{beside:.3g}", f"{ours / beside:.2f}" if beside else ""] for what, ours, beside in found]
    return [
        [name if i == 0 else "", *row, goal if i == 0 else ""]
        for i, row in enumerate(rows or [[_help(_files()[name]), "", "", ""]])
    ]
