"""`raylab doctor`: would a search run here, and on that cluster? Every line says ok, or what to do."""

import argparse
from collections import Counter
from dataclasses import asdict

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from raylab.app.console import console, print_json
from raylab.app.storage import add_storage_argument
from raylab.cluster.diagnosis import Finding, diagnose

HELP = "check packages, storage, tracking server, GPUs and a cluster's nodes"
_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}
_CHECK_WIDTH = len("shared memory")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", metavar="ADDRESS", help="a running Ray cluster, e.g. auto; its nodes are checked, too")
    add_storage_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the lines")


def run(args: argparse.Namespace) -> int:
    """Exit 0 if a search would run (perhaps with warnings), 1 if it would not."""
    from raylab.cluster.tracking import default_uri

    out = Console(quiet=True) if args.json else console()
    found: list[Finding] = []
    for finding in diagnose(args.storage, default_uri(args.storage.here), args.address):
        if not found or found[-1].where != finding.where:
            out.print(Text(finding.where, style="bold"))
        _show(finding, out)
        found.append(finding)
    count: Counter[str] = Counter(finding.state for finding in found)
    if args.json:
        print_json({"ok": not count["fail"], "findings": [asdict(finding) for finding in found]})
    out.print(Text(_summary(count)))
    return int(count["fail"] > 0)


def _show(finding: Finding, out: Console) -> None:
    line = Text.assemble(
        "  ",
        (f"{finding.state:<4}", _STYLES[finding.state]),
        "  ",
        (f"{finding.check:<{_CHECK_WIDTH}}", "dim"),
        "  ",
        finding.found,
    )
    out.print(line, soft_wrap=True)
    if finding.advice:
        out.print(Padding(Text(finding.advice), (0, 0, 0, 2 + 4 + 2 + _CHECK_WIDTH + 2)))


def _summary(count: Counter[str]) -> str:
    if not count["fail"] and not count["warn"]:
        return "All is well."
    told = [
        f"{count[state]} {word}{'s' * (count[state] > 1)}"
        for state, word in (("fail", "failure"), ("warn", "warning"))
        if count[state]
    ]
    return f"{' and '.join(told)}{'' if count['fail'] else ': a search would run'}."
