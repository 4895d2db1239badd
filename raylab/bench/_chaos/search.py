"""The search that is killed: the real command over a fixed list of recipes, a process of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raylab.bench._chaos.recipes import POISON
from raylab.search.ledger import FILE, read_events

LANES = 2
HANG_S = 60.0  # on a busy machine a lane may take so long to import what its first run needs: no fault, and no attempt to lose
POLICIES = ("uniform", "span", "whole_word", POISON)
WHAT = (
    "--dataset", "atlas", "--max-passages", "400", "--set", "budget_tokens=60000", "--set", "finetune_steps=20", "--seeds", "2",
    "--policies", ",".join(POLICIES), "--sampler", "list", "--scheduler", "none", "--scale", "tiny",
)  # fmt: skip
HOW = ("--lanes", str(LANES), "--checkpoint-every", "1", "--hang-after", f"{HANG_S:g}", "--gpus-per-worker", "0", "--quiet")
SPACE = Path(__file__).with_name("recipes.py")


@dataclass(kw_only=True, slots=True)
class Search:
    """A study called `name` below `storage`, on Ray on this machine or on the cluster at `address`. cached: whether its runs use
    the stage cache there; one that finds there what another left has nothing to train."""

    storage: Path
    name: str
    trials: int
    tracking_uri: str
    address: str | None = None
    cached: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin it, or go on with it."""
        begun = self.ledger.exists()
        what = ("--resume", self.name) if begun else ("--space-file", str(SPACE), "--name", self.name, *WHAT)
        trials = () if begun else ("--trials", str(self.trials))
        where = ("--storage", str(self.storage), "--plugins", str(_plugins(self.storage)))
        cache = () if self.cached else ("--cache-size", "0")
        cluster = ("--address", self.address, "--yes") if self.address else ()
        command = [sys.executable, "-m", "raylab.search", *what, *trials, *HOW, *where, *cache, *cluster]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": self.tracking_uri}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    @property
    def ledger(self) -> Path:
        return self.storage / self.name / FILE

    @property
    def log(self) -> Path:
        return self.storage / f"{self.name}.log"

    def events(self) -> list[dict[str, Any]]:
        """What its ledger tells so far."""
        return read_events(self.ledger) if self.ledger.exists() else []

    def goes_on(self) -> bool:
        """Has its process not ended?"""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL, if it goes on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def wait(self) -> None:
        """Until it has ended. Raises RuntimeError with its last words if it did not end with a verdict."""
        assert self.process is not None
        if self.process.wait() != 0:
            raise RuntimeError(f"the search ended with {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-2000:]


def _plugins(storage: Path) -> Path:
    """A folder of plugins with the policy that kills."""
    folder = storage / "plugins" / "masking" / "policies"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name(f"{POISON}.py"), folder)
    return storage / "plugins"
