"""`raylab bench`: the measurements behind raylab's claims, each a file in raylab/bench/.

A bench has `HELP`, `configure(parser)`, `measure(args) -> dict` of plain JSON values, and `show(result)`. One with a goal that
raylab must not miss has `met(result) -> bool`, too: the exit code is 1 where it is missed.
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
from raylab.errors import UserError, unknown

HELP = "run one of raylab's benchmarks"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a benchmark, or `list`, or `all`")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="the benchmark's own options, and --json")
    parser.set_defaults(prog=parser.prog)


def run(args: argparse.Namespace) -> int:
    if args.name == "list":
        return _list(_json_wanted(args, "list"))
    if args.name == "all":
        return _all(_json_wanted(args, "all"))
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
    """A bench's HELP, read without importing it: that would import torch or Ray for a list of names."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="HELP")], value=value)
                | ast.AnnAssign(target=ast.Name(id="HELP"), value=ast.expr() as value)
            ):
                return str(ast.literal_eval(value))
    raise UserError(f"{path} has no HELP: one line that says what it measures.")


def _all(as_json: bool) -> int:
    """Every bench with its defaults, each in a process of its own, so that none is measured warm from another."""
    results: dict[str, Any] = {}
    for name in _files():
        console().print(f"{name} ...", style="bold", markup=False)
        done = subprocess.run(
            [sys.executable, "-m", "raylab.bench", name, "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
        last = (done.stdout.splitlines() or [""])[-1]
        measured = json.loads(last) if last.startswith("{") else {}  # one that raised has none
        if measured and not as_json:
            importlib.import_module(f"raylab.bench.{name}").show(measured)
        results[name] = {**measured, **({"exit": done.returncode} if done.returncode else {})}
    if as_json:
        print_json(results)
    return int(any("exit" in result for result in results.values()))
