"""What a study was predicted to cost, beside what it did: read from the ledger alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from raylab.search.ledger import Run, Study

ROLES = {"learning": ("learn",), "exploration": ("explore",), "selection": ("race",), "verdict": ("confirm", "baseline")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One figure of a plan. low, high: as predicted, the same where it was known exactly."""

    name: str
    low: float
    high: float
    actual: float
    unit: str

    @property
    def held(self) -> bool:
        """Does the actual figure lie where it was predicted?"""
        return self.low <= self.actual <= self.high


def predicted(study: Study) -> list[Row]:
    """The plan's figures beside the actual ones so far; none if the study has no plan."""
    if study.plan is None:
        return []
    rows = [_row(f"{name}, {what}", part[what], _actual(study, name, what), what)
            for name, part in study.plan["parts"].items() for what in ("runs", "tokens")]  # fmt: skip
    rows.append(_row("tokens", study.plan["tokens"], own_total(study, "tokens"), "tokens"))
    if study.plan["flops"]:
        rows.append(_row("operations", study.plan["flops"], own_total(study, "flops"), "flops"))
    if study.plan["seconds"]:
        rows.append(_row("time", study.plan["seconds"], study.worked_s, "seconds"))
    if study.plan["usd"]:
        rows.append(_row("cost", study.plan["usd"], study.usd, "usd"))
    return rows


def own_total(study: Study, metric: str, *roles: str) -> float:
    """The sum of a metric over the runs that this study ran itself, of these roles or of all."""
    return sum(run.metrics.get(metric) or 0.0 for run in _own(study, roles))


def padding_share(study: Study) -> float | None:
    """Of the positions that the models of this study's own runs computed, the share that only pads; None if none is known."""
    runs = [run.metrics for run in _own(study, ()) if run.metrics.get("positions")]
    positions = sum(metrics["positions"] for metrics in runs)
    return sum(metrics["padding_share"] * metrics["positions"] for metrics in runs) / positions if runs else None


def saved(study: Study) -> str:
    """What runs took over of others that had begun alike, in words; empty if nothing."""
    read, seconds = own_total(study, "reused_tokens"), own_total(study, "reused_seconds")
    runs = sum(bool(run.metrics.get("reused_tokens")) for run in _own(study, ()))
    return f"{read:,.0f} corpus tokens in {runs} runs, which took {_seconds_in_words(seconds)} to train" if read else ""


def capped(study: Study) -> list[str]:
    """A sentence for every phase that a cap ended early."""
    return [f"{phase.capitalize()} ended early: {reason}." for phase, reason in study.capped.items()]


def in_words(row: Row) -> tuple[str, str, str]:
    """Name, prediction and actual figure, for a table."""
    spoken = _SPOKEN[row.unit]
    return row.name, between((row.low, row.high), spoken), spoken(row.actual)


def between(pair: Sequence[float], spoken: Callable[[float], str]) -> str:
    """A pair in words: "3 to 9", or "3" where both are the same."""
    low, high = map(spoken, pair)
    return low if low == high else f"{low} to {high}"


def tokens_in_words(tokens: float) -> str:
    """A count of tokens, exact."""
    return f"{tokens:,.0f}"


def _row(name: str, pair: Sequence[float], actual: float, unit: str) -> Row:
    return Row(name=name, low=pair[0], high=pair[1], actual=actual, unit=unit)


def _actual(study: Study, part: str, what: str) -> float:
    roles = ROLES[part]
    return len(_own(study, roles)) if what == "runs" else own_total(study, what, *roles)


def _own(study: Study, roles: Sequence[str]) -> list[Run]:
    """Runs that began here."""
    return [run for run in study.runs.values() if run.started and not run.origin and (not roles or run.role in roles)]


def _seconds_in_words(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


_SPOKEN: dict[str, Callable[[float], Any]] = {
    "runs": tokens_in_words, "tokens": tokens_in_words, "flops": lambda n: f"{n / 1e12:,.2f} TFLOP",
    "seconds": _seconds_in_words, "usd": lambda n: f"{n:,.2f} USD",
}  # fmt: skip
