"""The lines of what runs in the foreground."""

from collections.abc import Iterator

import pytest
from rich.console import Console

from raylab.app import steps
from raylab.training.progress import Progress


def progress(step: int) -> Progress:
    return Progress(
        stage="0-denoise", step=step, steps=4, learning_rate=0.1, loss=None, corpus_tokens=0, input_tokens=90, target_tokens=10,
        flops=0,
    )  # fmt: skip


def test_a_pace_is_told_once_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first step lies what the steps after it do not take: data are mapped, the model is built."""
    clock: Iterator[float] = iter([0.0, 60.0, 70.0, 80.0, 90.0])
    monkeypatch.setattr(steps.time, "monotonic", lambda: next(clock))
    with (out := Console(width=100)).capture() as told:
        teller = steps.Teller(out)
        for step in (1, 2, 3, 4):
            teller(progress(step))
    first, second, *_, last = told.get().splitlines()
    assert first == "denoise: step 1 of 4"
    assert second == "denoise: step 2 of 4, 10 tokens/s, about 20 s left"
    assert last == "denoise: step 4 of 4, 10 tokens/s, about 0 s left"
