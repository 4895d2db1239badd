"""Figures and headlines in plain words."""

from typing import Any

from raylab.search.ledger import Study
from raylab.search.measure import Measure

DECISIONS = {
    "better": "better",
    "worse": "worse",
    "no_reliable_difference": "no reliable difference",
    "not_run": "no verdict",
}


def headline(study: Study) -> str:
    """The verdict's sentence, or how far the study came without one."""
    if study.verdict:
        return str(study.verdict["sentence"])
    measure = Measure.of(study)
    best = measure.best(study.of_role("explore"))
    if best is None:
        return "No verdict: no trial has finished."
    finished = study.counts()["finished"]
    trials = f"{finished} trial{' has' if finished == 1 else 's have'} finished"
    return f"No verdict yet: {trials}; the best so far is {best.label or best.key}, {number(measure.score(best))} {measure.words} on dev."


def interval(figures: dict[str, Any], measure: Measure) -> str:
    """A difference with its interval and seeds: "−4.03 bits per answer · 95 % interval −4.61 to −3.45 · 3 paired seeds"."""
    if figures.get("difference") is None:
        return ""
    parts = [f"{signed(figures['difference'])} {measure.words}"]
    if figures.get("low") is not None and figures.get("high") is not None:
        parts.append(f"95\N{NO-BREAK SPACE}% interval {signed(figures['low'])} to {signed(figures['high'])}")
    if figures.get("seeds"):
        parts.append(f"{figures['seeds']} paired seed{'' if figures['seeds'] == 1 else 's'}")
    return " · ".join(parts)


def number(value: float | None) -> str:
    """Four significant digits at most, a dash for none."""
    if value is None:
        return "–"
    return f"{value:.{max(0, 4 - len(str(int(abs(value)))))}f}" if abs(value) >= 1 else f"{value:.3f}"


def signed(value: float) -> str:
    """With a sign, a real minus."""
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"


def count(value: float | None) -> str:
    """A count or amount with its unit prefix: 300 k, 6.9 M, 41 T."""
    if value is None:
        return "–"
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{0 if value / size >= 100 else 1}f}\N{NO-BREAK SPACE}{letter}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
