"""The decision, and the sentence that says it.

An arm is better or worse only where the 95 % interval of the paired difference lies wholly on one side of zero.
"""

import math
from dataclasses import dataclass
from typing import Literal

from raylab.verdict.paired import Estimate, Interval

Decision = Literal["better", "worse", "no_reliable_difference", "not_run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """How a metric is spoken of: "takes 3.1 bits per answer less", "scores 1.2 points of exact match more"."""

    verb: str
    unit: str
    factor: float = 1.0


_WORDS = {
    "bits_per_answer": Words(verb="takes", unit="bits per answer"),
    "exact_match": Words(verb="scores", unit="points of exact match", factor=100.0),
    "f1": Words(verb="scores", unit="points of F1", factor=100.0),
}


def decide(estimate: Estimate, higher_is_better: bool) -> Decision:
    """What the interval of (ours minus theirs) says of ours; `not_run` where there is no interval."""
    if estimate.interval is None:
        return "not_run"
    if estimate.interval.low <= 0 <= estimate.interval.high:
        return "no_reliable_difference"
    return "better" if (estimate.interval.low > 0) == higher_is_better else "worse"


def comparison(ours: str, theirs: str, estimate: Estimate, metric: str) -> str:
    """The figures in plain words, without a decision: "a takes 3.1 bits per answer less than b [2.2, 4.0], 3 paired seeds"."""
    if estimate.mean is None:
        return f"{ours} and {theirs} have no finished seed in common"
    words = _words(metric)
    return f"{ours} {words.verb} {amount(estimate, metric)} than {theirs}{_limits(estimate, words)}, {_seeds(estimate)}"


def sentence(ours: str, theirs: str, estimate: Estimate, metric: str, higher_is_better: bool) -> str:
    """The comparison with its decision."""
    decision = decide(estimate, higher_is_better)
    if decision == "not_run":
        return f"{comparison(ours, theirs, estimate, metric)}: not decided, which takes at least 2 paired seeds and 2 questions."
    return f"{comparison(ours, theirs, estimate, metric)}: {decision.replace('_', ' ')}."


def prose_sentence(estimate: Estimate, metric: str, higher_is_better: bool) -> str:
    """What the questions on prose alone say, for when they say something else than all questions."""
    decision = decide(estimate, higher_is_better).replace("_", " ")
    figures = f"{amount(estimate, metric)}{_limits(estimate, _words(metric))}"
    return f"On prose alone ({estimate.questions} questions) the answer is another: {figures}: {decision}."


def amount(estimate: Estimate, metric: str) -> str:
    """The size and direction of a difference: "3.1 bits per answer less"."""
    words, mean = _words(metric), estimate.mean or 0.0
    number = f"{abs(mean) * words.factor:.{_decimals(estimate, words)}f}"
    return f"{number} {words.unit} {'less' if mean < 0 else 'more'}"


def _words(metric: str) -> Words:
    return _WORDS.get(metric, Words(verb="scores", unit=metric.replace("_", " ")))


def _limits(estimate: Estimate, words: Words) -> str:
    """The interval, seen in the direction in which the sentence speaks ("less" turns it round)."""
    if estimate.interval is None or estimate.mean is None:
        return ""
    low, high = estimate.interval.low, estimate.interval.high
    if estimate.mean < 0:
        low, high = -high, -low
    digits = _decimals(estimate, words)
    return f" [{low * words.factor + 0.0:.{digits}f}, {high * words.factor + 0.0:.{digits}f}]"


def _decimals(estimate: Estimate, words: Words) -> int:
    """As many decimals as show one digit of the half-width and of the limit next to zero; one at least, four at most."""
    interval = estimate.interval or Interval(low=-1.0, high=1.0)
    sizes = [abs(x) * words.factor for x in (interval.low, interval.high, interval.half_width) if x]
    return min(4, max([1, *(math.ceil(-math.log10(size)) for size in sizes)]))


def _seeds(estimate: Estimate) -> str:
    return f"{estimate.seeds} paired seed{'' if estimate.seeds == 1 else 's'}"
