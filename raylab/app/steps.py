"""How far training is, in a line every few seconds: for what runs in the foreground, without lanes."""

import time
from typing import Any

from rich.console import Console

from raylab.app.console import console

TOLD_EVERY_S = 5.0


class Teller:
    """Called with every step's Progress; says every few seconds which it is, its loss, the rate, and the time left."""

    def __init__(self, out: Console | None = None) -> None:
        self.out = out or console()
        self.told = time.monotonic()
        self.stage, self.begun, self.first, self.tokens = "", self.told, 0, 0

    def __call__(self, step: Any) -> None:
        now = time.monotonic()
        if step.stage != self.stage:
            self.stage, self.begun, self.first, self.tokens = step.stage, now, step.step, 0
        else:
            self.tokens += step.input_tokens + step.target_tokens
        if now - self.told < TOLD_EVERY_S and step.step < step.steps:
            return
        self.told, elapsed, done = now, now - self.begun, step.step - self.first
        left = step.steps - step.step
        pace = f", {self.tokens / max(elapsed, 1e-9):,.0f} tokens/s, about {elapsed / done * left:.0f} s left" if done else ""
        loss = f", loss {step.loss:.3f}" if step.loss is not None else ""
        name = step.stage.split("-", 1)[-1]
        self.out.print(f"{name}: step {step.step} of {step.steps}{loss}{pace}")
