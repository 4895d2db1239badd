"""What a run has used so far, counted as it goes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from raylab.training.progress import Progress

_NOT_TRAINING = ("start", "rungs", "checkpoint", "waiting")  # parts of a run's seconds that make no better model


@dataclass(kw_only=True, slots=True)
class Totals:
    """What a run has used so far, over all workers; what was reused of other runs' stages is counted apart. measured: what
    its stages found out about the model."""

    steps: int = 0
    tokens: int = 0
    target_tokens: int = 0
    flops: float = 0.0
    positions: int = 0
    padding: int = 0
    reused_tokens: int = 0
    reused_flops: float = 0.0
    reused_seconds: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)

    def add(self, progress: Progress) -> None:
        self.steps += 1
        self.tokens += progress.corpus_tokens
        self.target_tokens += progress.target_tokens
        self.flops += progress.flops
        self.positions += progress.positions
        self.padding += progress.padding
        self.measured |= progress.measured
        for part, seconds in progress.seconds.items():
            self.spend(part, seconds)

    def spend(self, part: str, seconds: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count the seconds of a block under a part's name."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.spend(part, time.perf_counter() - begun)

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    def restore(self, plain: dict[str, Any]) -> None:
        """Take up the counts of a checkpoint."""
        for name, value in plain.items():
            setattr(self, name, value)

    def reuse(self, cost: Mapping[str, float]) -> None:
        """Count what a prefix from the cache has cost when it was trained."""
        self.reused_tokens += int(cost["tokens"])
        self.reused_flops += cost["flops"]
        self.reused_seconds += cost["seconds"]

    def cost(self) -> dict[str, float]:
        """What the model has cost so far, whoever trained it."""
        trained = sum(seconds for part, seconds in self.seconds.items() if part not in _NOT_TRAINING)
        return {
            "tokens": self.tokens + self.reused_tokens,
            "flops": self.flops + self.reused_flops,
            "seconds": trained + self.reused_seconds,
        }

    def used(self) -> dict[str, float]:
        """Everything but the seconds, as metrics of the run."""
        counts = {name: value for name, value in self.plain().items() if name not in ("seconds", "measured", "padding")}
        return {**counts, "padding_share": self.padding / max(1, self.positions), **self.measured}

    def times(self) -> dict[str, float]:
        """Seconds by part, and their `total`."""
        return {**self.seconds, "total": sum(self.seconds.values())}
