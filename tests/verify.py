"""The long checks of `make verify`: the tests that take minutes, the demo's verdict at study seeds 0, 1 and 2, then every
benchmark, chaos with 40 kills.

Prints a line for each, goes on after one that failed, and exits with 1 if a verdict is not `better` or a benchmark missed its
goal or could not be run.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

SEEDS = (0, 1, 2)
DEMO = ("raylab.search", "masking", "--dataset", "triviaqa", "--quiet", "--json")
BENCH = "raylab.bench"
OPTIONS = {"chaos": ("--kills", "40")}  # of benches whose defaults are for everyday


def main() -> int:
    """1 if something did not hold, else 0."""
    failed = [*_tests(), *_demos(), *_benches()]
    print(f"Did not hold: {', '.join(failed)}." if failed else "All of it held.", flush=True)
    return int(bool(failed))


def _tests() -> Iterator[str]:
    """The long tests, if one of them failed."""
    if subprocess.run([sys.executable, "-m", "pytest", "-m", "long"], check=False).returncode:
        yield "long tests"


def _demos() -> Iterator[str]:
    """The seeds at which the winner does not stand against uniform with an interval that excludes zero."""
    with tempfile.TemporaryDirectory(prefix="raylab-verify-") as storage:
        for seed in SEEDS:
            name, begun = f"demo-{seed}", time.monotonic()
            told = _told(*DEMO, "--seed", str(seed), "--name", name, "--storage", storage)
            verdict = json.loads(told)["verdict"] if told else {"decision": "none", "sentence": "no verdict."}
            print(f"{name}, {time.monotonic() - begun:.0f} s: {verdict['sentence']}", flush=True)
            if verdict["decision"] != "better":
                yield name


def _benches() -> Iterator[str]:
    """The benches that missed their goal or could not be run; each prints its own figures."""
    listed = _told(BENCH, "list", "--json")
    if not listed:
        yield "bench list"
        return
    for name in json.loads(listed):
        print(f"bench {name}", flush=True)
        if subprocess.run([sys.executable, "-m", BENCH, name, *OPTIONS.get(name, ())], check=False).returncode:
            yield f"bench {name}"


def _told(*command: str) -> str:
    """The last line of what a command printed; nothing if it failed."""
    done = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, check=False)
    return "" if done.returncode else done.stdout.splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main())
