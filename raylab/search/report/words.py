"""Figures and headlines in plain words."""

import math
from collections.abc import Mapping
from typing import Any

from raylab.search.ledger import Study
from raylab.search.measure import Measure

MINUS, DASH, SPACE = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{NO-BREAK SPACE}"
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
    score = f"{number(measure.score(best))} {measure.words} on dev"
    return f"No verdict yet: {trials}; the best so far is {best.label or best.key}, {score}."


def interval(figures: Mapping[str, Any], measure: Measure) -> str:
    """A difference in words: "-4.03 bits per answer · 95 % interval -4.61 to -3.45 · 3 paired seeds"; empty without one."""
    difference, low, high = (figures.get(name) for name in ("difference", "low", "high"))
    if difference is None:
        return ""
    digits = _decimals(difference if low is None or high is None else (high - low) / 2)
    parts = [f"{_signed(difference, digits)} {measure.words}"]
    if low is not None and high is not None:
        parts.append(f"95{SPACE}% interval {_signed(low, digits)} to {_signed(high, digits)}")
    if seeds := figures.get("seeds"):
        parts.append(f"{seeds} paired seed{'' if seeds == 1 else 's'}")
    return " · ".join(parts)


def number(value: float | None) -> str:
    """Four digits at most, a dash for none."""
    if value is None:
        return DASH
    return f"{value:.{max(0, 4 - len(str(int(abs(value)))))}f}" if abs(value) >= 1 else f"{value:.3f}"


def short(measure: str) -> str:
    """A measure as the heading of a column."""
    return {"exact_match": "EM", "f1": "F1"}.get(measure, measure.replace("_", " "))


def limits(row: Mapping[str, Any]) -> str:
    """The interval of a row's score; a dash without one."""
    low, high = row.get("score_low"), row.get("score_high")
    return DASH if low is None or high is None else f"{number(low)} to {number(high)}"


def count(value: float | None) -> str:
    """A count or amount with its unit prefix: 300 k, 6.9 M, 41 T."""
    if value is None:
        return DASH
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{0 if value / size >= 100 else 1}f}{SPACE}{letter}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _signed(value: float, digits: int) -> str:
    return f"{MINUS if value < 0 else '+'}{abs(value):.{digits}f}"


def _decimals(scale: float) -> int:
    """As many as show two digits of a figure of this size; four at most."""
    return min(4, max(0, 1 - math.floor(math.log10(abs(scale))))) if scale else 1
