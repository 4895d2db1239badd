"""The verdict of a study: the winner against its baseline on fresh paired seeds and questions no selection saw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from raylab.verdict.decision import Decision, decide, prose_sentence, sentence
from raylab.verdict.paired import CONFIDENCE, Estimate, Scores, estimate, paired_difference
from raylab.verdict.several import several

Role = Literal["winner", "baseline", "beside"]
MOST_TIED = 3  # recipes that a sentence names


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One recipe of the verdict. `baseline` differs from the winner in one choice; `beside` is compared, but decides nothing.

    keys: the run key of each replicate. scores: a replicate's score a question, in the order of the test split, or
    None where that replicate did not finish. All arms have the same replicates in the same order; one
    that ran on fewer of them has None for the others.
    """

    label: str
    role: Role
    keys: Sequence[str]
    scores: Scores


def conclude(
    arms: Sequence[Arm], metric: str, higher_is_better: bool, prose_mask: Sequence[bool] | None = None,
    *, confidence: float = CONFIDENCE, tied: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """The verdict as plain JSON values, None where there is no figure.

    prose_mask: a question at a time, True where it rests on somebody's prose instead of a rendered template; None if
    nothing was rendered. Where prose alone decides otherwise, the sentence says so. confidence: at which an interval of
    the headline is drawn, so that it is one of 95 % in spite of the looks there were. tied: the labels of candidates that
    selection could not tell from the winner. Where the winner is the baseline itself, the sentence is that of the first arm
    beside it.
    """
    winner, baseline = _only(arms, "winner"), _only(arms, "baseline")
    beside = [arm for arm in arms if arm.role == "beside"]
    rows = _all_beside(winner, beside, metric, higher_is_better) if winner else []
    headline = _headline(winner, baseline, metric, higher_is_better, prose_mask, confidence, tied)
    if rows and _same(winner, baseline):
        headline["sentence"] = f"The search's winner is the baseline itself: {rows[0]['sentence']}"
    return {
        "winner": winner.label if winner else None,
        "baseline": baseline.label if baseline else None,
        "metric": metric,
        "higher_is_better": higher_is_better,
        **headline,
        **_score(winner),
        "tied": list(tied),
        "beside": rows,
        "arms": [_summary(arm) for arm in arms],
    }


def _only(arms: Iterable[Arm], role: Role) -> Arm | None:
    found = [arm for arm in arms if arm.role == role]
    if len(found) > 1:
        raise ValueError(f"a verdict has one {role}; got {', '.join(arm.label for arm in found)}.")
    return found[0] if found else None


def _headline(
    winner: Arm | None, baseline: Arm | None, metric: str, higher_is_better: bool, prose_mask: Sequence[bool] | None,
    confidence: float, tied: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    if winner is None or baseline is None or _same(winner, baseline):
        return _not_run(winner, baseline)
    whole = paired_difference(winner.scores, baseline.scores, confidence)
    text = f"{sentence(winner.label, baseline.label, whole, metric, higher_is_better)}{_beside_the_winner(winner, tied)}."
    prose = _prose(winner, baseline, prose_mask, confidence)
    if prose and decide(prose, higher_is_better) != decide(whole, higher_is_better):
        text = f"{text} {prose_sentence(prose, metric, higher_is_better)}"
    return {
        **_figures(whole, decide(whole, higher_is_better)),
        "sentence": text,
        "prose": _figures(prose, decide(prose, higher_is_better)) if prose else None,
    }


def _same(winner: Arm | None, baseline: Arm | None) -> bool:
    """Whether the winner is the baseline itself."""
    return winner is not None and baseline is not None and list(winner.keys) == list(baseline.keys)


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


def _prose(winner: Arm, baseline: Arm, mask: Sequence[bool] | None, confidence: float) -> Estimate | None:
    """The difference on prose alone; None where every question or none is on prose, so that there is nothing to add."""
    if mask is None or all(mask) or not any(mask):
        return None
    return paired_difference(_where(winner.scores, mask), _where(baseline.scores, mask), confidence)


def _where(scores: Scores, mask: Sequence[bool]) -> Scores:
    return [None if row is None else [x for x, kept in zip(row, mask, strict=True) if kept] for row in scores]


def _beside_the_winner(winner: Arm, tied: Sequence[str]) -> str:
    """What selection could not tell apart: "; span and salient can't be told apart"."""
    if not tied:
        return ""
    more = [f"{len(tied) - MOST_TIED} more"] if len(tied) > MOST_TIED else []
    return f"; {', '.join([*tied[:MOST_TIED], *more])} and {winner.label} can't be told apart on dev"


def _all_beside(winner: Arm, arms: Sequence[Arm], metric: str, higher_is_better: bool) -> list[dict[str, Any]]:
    """The winner against each of the others, all of them together wrong in 5 % of the cases (Holm)."""
    rows = []
    for arm, tested in zip(arms, several([(winner.scores, arm.scores) for arm in arms]), strict=True):
        figures = {**_figures(tested.difference, decide(tested.difference, higher_is_better)), "p": tested.p}
        note = ", adjusted for the other comparisons (Holm)" if len(arms) > 1 and tested.p is not None else ""
        text = f"{sentence(winner.label, arm.label, tested.difference, metric, higher_is_better)}{note}."
        rows.append({"label": arm.label, **figures, "sentence": text})
    return rows


def _score(winner: Arm | None) -> dict[str, Any]:
    """The winner's own score on test with its interval over other seeds and questions: fresh ones, not those it was chosen by."""
    whole = estimate(winner.scores if winner else [])
    limits = whole.interval
    return {"score": whole.mean, "score_low": limits.low if limits else None, "score_high": limits.high if limits else None,
            "n_seeds": whole.seeds}  # fmt: skip


def _summary(arm: Arm) -> dict[str, Any]:
    """An arm's own score: each replicate's mean, and over all of them the mean with its interval."""
    whole = estimate(arm.scores)
    means = [estimate([row]).mean if row is not None else None for row in arm.scores]
    return {"label": arm.label, "role": arm.role, "keys": list(arm.keys), "values": means, "mean": whole.mean, **whole.as_json()}
