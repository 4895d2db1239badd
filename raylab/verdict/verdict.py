"""The verdict of a study: the winner against its baseline on fresh paired seeds and questions no selection saw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from raylab.verdict.decision import Decision, comparison, decide, prose_sentence, sentence
from raylab.verdict.paired import Estimate, Scores, estimate, paired_difference

Role = Literal["winner", "baseline", "beside"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One recipe of the verdict. `baseline` differs from the winner in one choice; `beside` is shown without decision.

    keys: the run key of each replicate. scores: a replicate's score a question, in the order of the test split, or
    None where that replicate did not finish. All arms have the same replicates in the same order.
    """

    label: str
    role: Role
    keys: Sequence[str]
    scores: Scores


def conclude(
    arms: Sequence[Arm], metric: str, higher_is_better: bool, prose_mask: Sequence[bool] | None = None
) -> dict[str, Any]:
    """The verdict as plain JSON values, None where there is no figure.

    prose_mask: a question at a time, True where it rests on somebody's prose instead of a rendered template; None if
    nothing was rendered. Where prose alone decides otherwise, the sentence says so.
    """
    winner, baseline = _only(arms, "winner"), _only(arms, "baseline")
    return {
        "winner": winner.label if winner else None,
        "baseline": baseline.label if baseline else None,
        "metric": metric,
        "higher_is_better": higher_is_better,
        **_headline(winner, baseline, metric, higher_is_better, prose_mask),
        "beside": [_beside(winner, arm, metric) for arm in arms if winner and arm.role == "beside"],
        "arms": [_summary(arm) for arm in arms],
    }


def _only(arms: Iterable[Arm], role: Role) -> Arm | None:
    found = [arm for arm in arms if arm.role == role]
    if len(found) > 1:
        raise ValueError(f"a verdict has one {role}; got {', '.join(arm.label for arm in found)}.")
    return found[0] if found else None


def _headline(
    winner: Arm | None, baseline: Arm | None, metric: str, higher_is_better: bool, prose_mask: Sequence[bool] | None
) -> dict[str, Any]:
    if winner is None or baseline is None or list(winner.keys) == list(baseline.keys):
        return _not_run(winner, baseline)
    whole = paired_difference(winner.scores, baseline.scores)
    text = sentence(winner.label, baseline.label, whole, metric, higher_is_better)
    prose = _prose(winner, baseline, prose_mask)
    if prose and decide(prose, higher_is_better) != decide(whole, higher_is_better):
        text = f"{text} {prose_sentence(prose, metric, higher_is_better)}"
    return {
        **_figures(whole, decide(whole, higher_is_better)),
        "sentence": text,
        "prose": _figures(prose, decide(prose, higher_is_better)) if prose else None,
    }


def _not_run(winner: Arm | None, baseline: Arm | None) -> dict[str, Any]:
    if winner is None:
        reason = "No verdict: no run finished, so there is no winner."
    elif baseline is None:
        reason = f"No verdict: {winner.label} had no baseline to stand against."
    else:
        reason = f"No verdict: the search's winner is the baseline itself, {winner.label}."
    nothing = Estimate(mean=None, seeds=0, questions=0, interval=None, seeds_only=None)
    return {**_figures(nothing, "not_run"), "sentence": reason, "prose": None}


def _figures(difference: Estimate, decision: Decision) -> dict[str, Any]:
    return {"difference": difference.mean, **difference.as_json(), "decision": decision}


def _prose(winner: Arm, baseline: Arm, mask: Sequence[bool] | None) -> Estimate | None:
    """The difference on prose alone; None where every question or none is on prose, so that there is nothing to add."""
    if mask is None or all(mask) or not any(mask):
        return None
    return paired_difference(_where(winner.scores, mask), _where(baseline.scores, mask))


def _where(scores: Scores, mask: Sequence[bool]) -> Scores:
    return [None if row is None else [x for x, kept in zip(row, mask, strict=True) if kept] for row in scores]


def _beside(winner: Arm, arm: Arm, metric: str) -> dict[str, Any]:
    difference = paired_difference(winner.scores, arm.scores)
    words = comparison(winner.label, arm.label, difference, metric) + "."
    return {"label": arm.label, "difference": difference.mean, **difference.as_json(), "sentence": words}


def _summary(arm: Arm) -> dict[str, Any]:
    """An arm's own score: each replicate's mean, and over all of them the mean with its interval."""
    whole = estimate(arm.scores)
    means = [estimate([row]).mean if row is not None else None for row in arm.scores]
    return {"label": arm.label, "role": arm.role, "keys": list(arm.keys), "values": means, "mean": whole.mean, **whole.as_json()}
