"""The long checks of `make verify`: the demo's verdict at study seeds 0, 1 and 2, 40 kills, then every benchmark.

Prints a line for each and exits with 1 if a verdict is not `better`, a kill changed a search, or a benchmark fails.
"""

import json
import subprocess
import sys
import tempfile
from typing import Any

SEEDS = (0, 1, 2)
KILLS = 40
DEMO = ("raylab.search", "masking", "--dataset", "triviaqa", "--quiet", "--json")


def main() -> int:
    """The number of checks that failed, at most 1 as an exit code."""
    with tempfile.TemporaryDirectory(prefix="raylab-verify-") as storage:
        stands = [_stands(seed, storage) for seed in SEEDS]
    survives = _survives()
    benches = subprocess.run([sys.executable, "-m", "raylab.bench", "all"], check=False).returncode
    return int(not (all(stands) and survives) or benches != 0)


def _stands(seed: int, storage: str) -> bool:
    """Does the winner stand against uniform with an interval that excludes zero?"""
    found = _last_line([*DEMO, "--seed", str(seed), "--name", f"demo-{seed}", "--storage", storage])
    print(f"seed {seed}, {found['seconds']:.0f} s: {found['verdict']['sentence']}", flush=True)
    return bool(found["verdict"]["decision"] == "better")


def _survives() -> bool:
    """Does a search come out of its kills as if nothing had been?"""
    return subprocess.run([sys.executable, "-m", "raylab.bench", "chaos", "--kills", str(KILLS)], check=False).returncode == 0


def _last_line(command: list[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
