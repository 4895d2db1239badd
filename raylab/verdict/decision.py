"""The decision, and the sentence that says it.

An arm is better or worse only where the interval of the paired difference lies wholly on one side of zero.
"""

import math
from dataclasses import dataclass
from typing import Literal

from raylab.verdict.paired import Estimate, Interval

Decision = Literal["better", "worse", "no_reliable_difference", "not_run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """How a metric is spoken of: "by 3.1 bits per answer", "by 1.2 points of exact match"."""

    unit: str
    factor: float = 1.0


_WORDS = {
    "bits_per_answer": Words(unit="bits per answer"),
    "exact_match": Words(unit="points of exact match", factor=100.0),
    "f1": Words(unit="points of F1", factor=100.0),
    "accuracy": Words(unit="points of accuracy", factor=100.0),
    "bits_per_label": Words(unit="bits per label"),
    "macro_f1": Words(unit="points of macro F1", factor=100.0),
    "matthews_correlation": Words(unit="of Matthews' correlation"),
    "pearson": Words(unit="of Pearson's correlation"),
    "spearman": Words(unit="of Spearman's correlation"),
    "span_f1": Words(unit="points of span F1", factor=100.0),
    "token_accuracy": Words(unit="points of token accuracy", factor=100.0),
    "rouge_1": Words(unit="points of ROUGE-1", factor=100.0),
    "rouge_2": Words(unit="points of ROUGE-2", factor=100.0),
    "rouge_l": Words(unit="points of ROUGE-L", factor=100.0),
}


def decide(estimate: Estimate, higher_is_better: bool) -> Decision:
    """What the interval of (ours minus theirs) says of ours; `not_run` where there is no interval."""
    if estimate.interval is None:
        return "not_run"
    if estimate.interval.low <= 0 <= estimate.interval.high:
        return "no_reliable_difference"
    return "better" if (estimate.interval.low > 0) == higher_is_better else "worse"


def sentence(ours: str, theirs: str, estimate: Estimate, metric: str, higher_is_better: bool) -> str:
    """The comparison in plain words: "a beats b by 3.1 bits per answer [2.2, 4.0], 3 paired seeds"."""
    if estimate.mean is None:
        return f"{ours} and {theirs} have no finished seed in common"
    figures, seeds = amount(estimate, metric), _seeds(estimate)
    match decide(estimate, higher_is_better):
        case "better":
            return f"{ours} beats {theirs} by {figures}, {seeds}"
        case "worse":
            return f"{ours} loses to {theirs} by {figures}, {seeds}"
        case "no_reliable_difference":
            return (
                f"{ours} and {theirs} can't be told apart: {_favoured(ours, theirs, estimate, metric, higher_is_better)}, {seeds}"
            )
        case "not_run":
            return f"{ours} and {theirs} are not decided, which takes at least 2 paired seeds and 2 examples; got {seeds}"


def prose_sentence(estimate: Estimate, metric: str, higher_is_better: bool) -> str:
    """What the examples on prose alone say, for when they say something else than all examples."""
    decision = decide(estimate, higher_is_better).replace("_", " ")
    figures = _favoured("the winner", "the baseline", estimate, metric, higher_is_better)
    return f"On prose alone ({estimate.questions} examples) the answer is another: {figures}: {decision}."


def amount(estimate: Estimate, metric: str) -> str:
    """The size of a difference with its interval, seen from the side that it favours: "3.1 bits per answer [2.2, 4.0]"."""
    words, mean = _words(metric), estimate.mean or 0.0
    digits = _decimals(estimate, words)
    text = f"{abs(mean) * words.factor:.{digits}f} {words.unit}"
    if estimate.interval is None:
        return text
    low, high = estimate.interval.low, estimate.interval.high
    if mean < 0:
        low, high = -high, -low
    return f"{text} [{low * words.factor + 0.0:.{digits}f}, {high * words.factor + 0.0:.{digits}f}]"


def _favoured(ours: str, theirs: str, estimate: Estimate, metric: str, higher_is_better: bool) -> str:
    """A difference with the side it favours: "0.5 bits per answer [-0.5, 1.5] in favour of a"."""
    figures, mean = amount(estimate, metric), estimate.mean or 0.0
    return f"{figures} in favour of {ours if (mean > 0) == higher_is_better else theirs}" if mean else figures


def _words(metric: str) -> Words:
    return _WORDS.get(metric, Words(unit=metric.replace("_", " ")))


def _decimals(estimate: Estimate, words: Words) -> int:
    """As many decimals as show one digit of the half-width and of the limit next to zero; one at least, four at most."""
    interval = estimate.interval or Interval(low=-1.0, high=1.0)
    sizes = [abs(x) * words.factor for x in (interval.low, interval.high, interval.half_width) if x]
    return min(4, max([1, *(math.ceil(-math.log10(size)) for size in sizes)]))


def _seeds(estimate: Estimate) -> str:
    return f"{estimate.seeds} paired seed{'' if estimate.seeds == 1 else 's'}"
