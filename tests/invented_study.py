"""An invented study's ledger, with runs in every state, for the tests of what is read from a ledger."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raylab.recipe import digest
from raylab.search.ledger import FILE, Ledger

BEGAN = 1_700_000_000.0
COMMIT = "4f5e6d7c8b9a00112233445566778899aabbccdd"
TRACEBACK = 'Traceback (most recent call last):\n  File "loop.py", line 7, in train\nRuntimeError: <b>no & memory</b>\n'
POLICIES = ("uniform", "span", "salient", "infilling")
EXPLORED = ["finished"] * 9 + ["pruned", "pruned", "diverged", "failed", "finished"]


def recipe(policy: str | None, rate: float, learning_rate: float) -> dict[str, Any]:
    """A recipe's JSON form; without a stage where there is no policy."""
    denoise = {"name": "denoise", "policy": {"name": policy, "rate": rate}, "target": "spans", "budget_tokens": 300_000}
    return {
        "base": {"family": "t5", "scale": "tiny", "pretrained": None, "dropout": 0.0},
        "stages": [denoise] if policy else [],
        "task": "triviaqa",
        "finetune": {"name": "finetune", "steps": 80, "optimization": {"learning_rate": learning_rate}},
    }


class InventedStudy:
    """Writes a study's ledger event by event, on a clock of its own."""

    def __init__(self, folder: Path, *, warnings: tuple[str, ...] = (), seed: int = 0, began: float = BEGAN) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.now, self.random = folder, began, random.Random(seed)
        self.ledger = Ledger(folder)
        if not (folder / FILE).stat().st_size:
            self._write("study", name=folder.name, settings=_settings(), data=_data(warnings), environment=_environment())

    def explore(self, states: list[str] = EXPLORED) -> Iterator[str]:
        """Trials of exploration, ended in these states; yields their keys, one cached trial after them."""
        keys = []
        for trial, state in enumerate(states):
            policy = POLICIES[trial % len(POLICIES)]
            rate = round(self.random.uniform(0.1, 0.5), 2)
            key = self.ask("explore", policy, rate, trial=trial)
            self.execute(key, state, 28 - 4 * (policy == "salient") - 2 * (policy == "span") + self.random.gauss(0, 0.4))
            keys.append(key)
            yield key
        self._write("cached", key=keys[0], trial=len(states))

    def confirm(self, seeds: int = 3) -> dict[str, list[str]]:
        """The winner, its baseline and no pretraining on fresh seeds; the keys of each arm."""
        arms = {"salient rate 0.3": ("salient", 24.0), "uniform rate 0.3": ("uniform", 28.0), "none": (None, 31.0)}
        keys: dict[str, list[str]] = {label: [] for label in arms}
        for replicate in range(1, seeds + 1):
            for label, (policy, score) in arms.items():
                role = "confirm" if policy == "salient" else "baseline"
                key = self.ask(role, policy, 0.3, replicate=replicate, label=label)
                self.execute(key, "finished", score + self.random.gauss(0, 0.3))
                keys[label].append(key)
        return keys

    def conclude(self, arms: dict[str, list[str]]) -> None:
        """The verdict, as an estimate over those arms would say it."""
        winner, baseline, none = arms
        values = {"salient rate 0.3": [23.9, 24.2, 24.1], "uniform rate 0.3": [27.8, 28.4, 28.1], "none": [31.0, 30.6, 31.3]}
        figures = {"difference": -4.03, "low": -4.61, "high": -3.45, "seeds": 3, "questions": 130}
        words = f"{winner} takes 4.0 bits per answer less than {baseline} [3.4, 4.6], 3 paired seeds: better."
        beside = {
            "label": none,
            "difference": -6.9,
            "low": -7.5,
            "high": -6.3,
            "seeds": 3,
            "sentence": "6.9 bits less than none.",
        }
        verdict = {
            "winner": winner, "baseline": baseline, "metric": "bits_per_answer", "higher_is_better": False, **figures,
            "decision": "better", "sentence": words, "beside": [beside],
            "prose": {**figures, "difference": -3.1, "low": -3.9, "high": -2.3, "decision": "better"},
            "arms": [{"label": label, "keys": arms[label], "values": values[label]} for label in arms],
        }  # fmt: skip
        self._write("verdict", verdict=verdict)

    def ask(
        self, role: str, policy: str | None, rate: float, *, trial: int | None = None, replicate: int = 0, label: str = ""
    ) -> str:
        """A run is asked for."""
        whole = recipe(policy, rate, 0.002)
        key = digest([whole, role, replicate, trial])
        values = {"policy": policy, "rate": rate, "learning_rate": round(10 ** self.random.uniform(-3.5, -2.3), 5)}
        self._write(
            "run", key=key, role=role, replicate=replicate, trial=trial, recipe=whole, values=values,
            label=label or f"{policy} rate {rate}",
        )  # fmt: skip
        return key

    def start(self, key: str) -> None:
        """A lane takes it up, and trains a while."""
        self._write("start", key=key)
        for first in (0, 5):
            self.now += 4
            self._write("curve", key=key, points=[self._point(step) for step in range(first, first + 5)])

    def execute(self, key: str, state: str, score: float) -> None:
        """A run from its start to its end."""
        self.start(key)
        self._write("rung", key=key, fraction=0.25, metrics={"dev_bits_per_answer": round(score + 4, 3)})
        self.now += 8
        figures = _figures(score) if state == "finished" else {}
        self._write(
            "end", key=key, state=state, metrics={
                "tokens": 300_000, "target_tokens": 45_000, "flops": 1.8e12, "positions": 400_000, "padding_share": 0.125,
                **figures,
            },
            scores={"test": {"bits_per_answer": [round(score, 3)] * 3}} if figures else {},
            seconds={"start": 0.4, "data": 0.3, "masking": 0.1, "forward_backward": 14.2, "optimizer": 1.5, "rungs": 2.2,
                     "evaluation": 1.1, "checkpoint": 0.1, "waiting": 0.0, "total": 19.9},
            memory={"host": 420 * 2**20},
            error={"failed": TRACEBACK, "diverged": "loss 31.2 at step 9"}.get(state),
        )  # fmt: skip

    def interrupt(self) -> None:
        """The driver stops."""
        self._write("interrupted")

    def close(self) -> None:
        self.ledger.close()

    def _point(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "time": self.now + step / 10,
            "stage": "denoise",
            "loss": round(6 - 0.3 * step, 3),
            "tokens_per_s": 17e3,
        }

    def _write(self, event: str, **fields: Any) -> None:
        self.now += 1
        self.ledger.append(event, time=self.now, **fields)


def whole_study(folder: Path, **options: Any) -> Path:
    """A study that ran to its verdict: 14 trials in all states, one cached, 9 runs of the verdict."""
    study = InventedStudy(folder, **options)
    list(study.explore())
    study.conclude(study.confirm())
    study.close()
    return folder


def masks() -> dict[str, list[list[tuple[str, bool]]]]:
    """What two policies hide in two invented passages."""
    passages = ["Ada Lovelace <wrote> in 1843 that an engine might compose music .", "Oslo is the capital of Norway ."]
    names = {"Ada", "Lovelace", "1843", "Oslo", "Norway"}
    salient = [[(f"{word} ", word in names) for word in text.split()] for text in passages]
    uniform = [[(f"{word} ", i % 4 == 1) for i, word in enumerate(text.split())] for text in passages]
    return {"salient": salient, "uniform": uniform}


def _settings() -> dict[str, Any]:
    return {
        "space": "masking", "dataset": "triviaqa", "metric": "bits_per_answer", "trials": 14, "seed": 0, "scale": "tiny",
        "command": "python -m raylab.search masking --dataset triviaqa --name 'odd & <name>'",
    }  # fmt: skip


def _data(warnings: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": "atlas", "source": "builtin:atlas", "version": 1, "corpus": "atlas", "fingerprint": "0011223344556677aabb",
        "splits": {"train": 560, "dev": 130, "test": 130}, "passages": 1500, "warnings": list(warnings),
        "notes": ["The questions were split 80/10/10 by a hash of their normalised text."],
    }  # fmt: skip


def _environment() -> dict[str, Any]:
    return {"commit": COMMIT, "python": "3.11.9", "versions": {"torch": "2.13.0", "raylab": "0.1.0"}, "device": "cpu"}


def _figures(score: float) -> dict[str, float]:
    dev = {"dev_bits_per_answer": round(score, 3), "dev_exact_match": 0.04, "dev_f1": 0.09}
    return {**dev, "test_bits_per_answer": round(score + 0.2, 3), "test_exact_match": 0.03, "test_f1": 0.08}
