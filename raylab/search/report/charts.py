"""The report's charts, as Plotly figures in JSON form. The page lends them its colours (templates/report.js)."""

import html
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, cycle, zip_longest
from typing import Any

import plotly.graph_objects as go

from raylab.search.ledger import Run, Study
from raylab.search.measure import Measure
from raylab.search.report.importance import Importance
from raylab.search.report.table import policy_of, spent
from raylab.search.report.words import duration, interval, number
from raylab.verdict.selection import Standing

COLOURS = ("#3f7fd0", "#dd7a33", "#2f9e77", "#bf5590", "#8d6fd8", "#b8921c", "#2ba0b4", "#a3684c")
GREY = "#8b9099"
ROW_PX = 58
PHASES = {"trials": ("explore",), "selection": ("race",), "verdict": ("confirm", "baseline"), "policies learned": ("learn",)}
PARTS = ("forward_backward", "rungs", "optimizer", "evaluation", "data", "masking", "checkpoint", "start", "exchange", "waiting")


def arms(verdict: Mapping[str, Any], measure: Measure) -> dict[str, Any] | None:
    """The test score of each arm: a dot a seed, the mean as a bar with its interval, the dots of one seed joined. None
    without values."""
    shown = [arm for arm in verdict.get("arms", ()) if any(value is not None for value in arm.get("values", ()))]
    if not shown:
        return None
    figure = go.Figure()
    for seed, values in enumerate(zip_longest(*(arm["values"] for arm in shown)), start=1):
        figure.add_scatter(
            x=values, y=_heights(shown), mode="lines", line={"color": GREY, "width": 1}, opacity=0.45, hoverinfo="skip"
        )
        words = [f"{_text(arm['label'])}<br>seed {seed}: {number(value)}" for arm, value in zip(shown, values, strict=True)]
        _dots(figure, values, _heights(shown), words)
    for height, arm in zip(_heights(shown), shown, strict=True):
        known = [value for value in arm["values"] if value is not None]
        mean = sum(known) / len(known)
        colour = _colour(verdict, arm["label"])
        low, high = arm.get("low"), arm.get("high")
        if low is not None and high is not None:
            figure.add_scatter(x=[low, high], y=[height] * 2, mode="lines", line={"color": colour, "width": 2}, hoverinfo="skip")
        figure.add_scatter(
            x=[mean, mean], y=[height - 0.16, height + 0.16], mode="lines", line={"color": colour, "width": 4},
            hovertext=f"{_text(arm['label'])}<br>mean {number(mean)}{_limits(low, high)}", hoverinfo="text",
        )  # fmt: skip
    return _rows(figure, [arm["label"] for arm in shown])


def differences(verdict: Mapping[str, Any], measure: Measure) -> dict[str, Any] | None:
    """The winner's difference to each other arm with its 95 % interval, beside zero. None without a difference."""
    against = f"against {verdict.get('baseline')}"
    rows = [(against, verdict), ("the same, on prose alone", verdict.get("prose") or {})]
    rows += [(f"beside: against {arm.get('label')}", arm) for arm in verdict.get("beside", ())]
    rows = [(label, row) for label, row in rows if row.get("difference") is not None]
    if not rows:
        return None
    figure = go.Figure()
    for height, (label, row) in zip(_heights(rows), rows, strict=True):
        colour = COLOURS[0] if row is verdict else GREY
        low, high = row.get("low"), row.get("high")
        if low is not None and high is not None:
            figure.add_scatter(x=[low, high], y=[height] * 2, mode="lines", line={"color": colour, "width": 3}, hoverinfo="skip")
        figure.add_scatter(
            x=[row["difference"]], y=[height], mode="markers", marker={"color": colour, "size": 11},
            hovertext=f"{_text(label)}<br>{_text(interval(row, measure))}", hoverinfo="text",
        )  # fmt: skip
    figure.update_xaxes(range=_around(row.get(name) for _, row in rows for name in ("difference", "low", "high")))
    figure.add_vline(x=0, line={"color": GREY, "width": 1, "dash": "dot"})
    return _rows(figure, [label for label, _ in rows])


def progress(study: Study, measure: Measure) -> dict[str, Any] | None:
    """Each trial's score when it ended, coloured by policy, and the best so far. None if none has a score."""
    explored = study.of_role("explore")
    course = measure.course(explored)
    if not course:
        return None
    figure = go.Figure()
    minutes = [_minutes(run, study) for run, _ in course]
    estimates = measure.estimates(list(study.runs.values()))
    figure.add_scatter(
        x=minutes, y=[best for _, best in course], mode="lines", name="best so far", hoverinfo="skip",
        line={"color": GREY, "width": 2, "shape": "hv"},
    )  # fmt: skip
    for policy, colour in _coloured(explored):
        of_policy = [run for run in explored if policy_of(run) == policy]
        named = _trials(figure, [(run, measure.score(run)) for run in of_policy], study, policy, colour, estimates=estimates)
        _trials(figure, [(run, _last_rung(run, measure)) for run in of_policy], study, policy, colour, ring=True, named=not named)
    figure.update_layout(height=380, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_xaxes(title={"text": "minutes since the start", "font": {"size": 13}}, rangemode="tozero")
    return _json(figure)


def importance(found: Sequence[Importance]) -> dict[str, Any] | None:
    """A bar a choice with its interval; pale where it may be chance."""
    if not found:
        return None
    figure = go.Figure()
    figure.add_bar(
        x=[one.share for one in found], y=_heights(found), orientation="h", width=0.28,
        marker={"color": COLOURS[0], "opacity": [1.0 if one.sure else 0.3 for one in found]}, hoverinfo="text",
        error_x={"type": "data", "symmetric": False, "array": [max(0.0, one.high - one.share) for one in found],
                 "arrayminus": [max(0.0, one.share - one.low) for one in found], "color": GREY, "thickness": 1.5, "width": 4},
        hovertext=[
            f"{_text(one.name)}: {one.share:.0%} [{one.low:.0%}, {one.high:.0%}] over {one.trials} trials, p = {one.p:.2g}"
            for one in found
        ],
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", range=[0, 1], dtick=0.25)
    labels = [
        f"{one.name}: {f'{one.share:.0%} [{one.low:.0%}, {one.high:.0%}]' if one.sure else 'no effect seen'}" for one in found
    ]
    return _rows(figure, labels, row_px=46)


def times(study: Study) -> dict[str, Any] | None:
    """Where the seconds of the study's own runs went: a bar a phase, its parts in one order. None where none are known."""
    phases = {words: parts for words, roles in PHASES.items() if (parts := spent(study, *roles))}
    if not phases:
        return None
    figure = go.Figure()
    totals = [sum(parts.values()) for parts in phases.values()]
    known = dict.fromkeys([*PARTS, *chain.from_iterable(phases.values())])
    for part, colour in zip(known, cycle((*COLOURS, GREY)), strict=False):
        taken, words = [parts.get(part, 0.0) for parts in phases.values()], part.replace("_", " ")
        if any(taken):
            figure.add_bar(
                x=[seconds / 60 for seconds in taken], y=_heights(taken), orientation="h", width=0.28, name=words,
                marker={"color": colour}, hoverinfo="text",
                hovertext=[f"{words}: {duration(s)}, {s / total:.1%}" for s, total in zip(taken, totals, strict=True)],
            )  # fmt: skip
    figure.update_xaxes(title={"text": "minutes of all runs together", "font": {"size": 13}}, rangemode="tozero")
    below = {"orientation": "h", "traceorder": "normal", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0}
    figure.update_layout(barmode="stack", legend=below)
    return _rows(figure, [f"{words}: {duration(total)}" for words, total in zip(phases, totals, strict=True)], legend=True)


def _limits(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f", 95 % interval {number(low)} to {number(high)}"


def _trials(
    figure: go.Figure, scored: Iterable[tuple[Run, float | None]], study: Study, policy: str, colour: str,
    *, ring: bool = False, named: bool = True, estimates: Mapping[str, Standing] | None = None,
) -> bool:  # fmt: skip
    """Draw the trials that have a score, as rings if they were pruned; were there any?"""
    shown = [(run, score) for run, score in scored if score is not None]
    how = " at its last rung, then pruned" if ring else ""
    symbol = {"symbol": "circle-open", "line": {"width": 2}} if ring else {"symbol": "circle"}
    if shown:
        figure.add_scatter(
            x=[_minutes(run, study) for run, _ in shown], y=[score for _, score in shown], mode="markers", legendgroup=policy,
            name=_text(policy), showlegend=named, marker={"color": colour, "size": 10, **symbol}, hoverinfo="text",
            hovertext=[
                f"trial {run.trial}: {_text(run.label)}<br>{number(score)}{how}{_estimated((estimates or {}).get(run.key))}"
                for run, score in shown
            ],
        )  # fmt: skip
    return bool(shown)


def _estimated(standing: Standing | None) -> str:
    """What all seeds of a recipe say of it, where the noise is known."""
    if standing is None or standing.low is None:
        return ""
    seeds = f"{standing.seeds} seed{'' if standing.seeds == 1 else 's'}"
    return f" in this run<br>estimate {number(standing.score)}{_limits(standing.low, standing.high)}, {seeds}"


def _around(values: Iterable[float | None]) -> list[float]:
    """A range that holds these and zero, with some air at both ends."""
    known = [0.0, *(value for value in values if value is not None)]
    air = 0.06 * (max(known) - min(known)) or 1.0
    return [min(known) - air, max(known) + air]


def _dots(figure: go.Figure, x: Sequence[Any], y: Sequence[float], words: Sequence[str]) -> None:
    figure.add_scatter(x=x, y=y, mode="markers", marker={"color": GREY, "size": 9}, hovertext=words, hoverinfo="text")


def _rows(figure: go.Figure, labels: Sequence[str], row_px: int = ROW_PX, legend: bool = False) -> dict[str, Any]:
    """Rows with their label above them instead of beside, so that a phone has room for both."""
    for height, label in zip(_heights(labels), labels, strict=True):
        figure.add_annotation(
            x=0, xref="paper", y=height + 0.2, yanchor="bottom", xanchor="left", text=_text(_shortened(label)), showarrow=False
        )
    figure.update_layout(height=row_px * len(labels) + (210 if legend else 50), showlegend=legend)
    figure.update_yaxes(visible=False, range=[-0.35, len(labels) - 0.25], fixedrange=True)
    return _json(figure)


def _heights(rows: Sequence[Any]) -> list[float]:
    """The first row at the top."""
    return [float(len(rows) - 1 - i) for i in range(len(rows))]


def _coloured(runs: Iterable[Run]) -> list[tuple[str, str]]:
    policies = dict.fromkeys(map(policy_of, runs))
    return [(policy, COLOURS[i % len(COLOURS)]) for i, policy in enumerate(policies)]


def _colour(verdict: Mapping[str, Any], label: str) -> str:
    return COLOURS[0] if label == verdict.get("winner") else COLOURS[1] if label == verdict.get("baseline") else GREY


def _last_rung(run: Run, measure: Measure) -> float | None:
    return run.rungs[-1]["metrics"].get(f"dev_{measure.name}") if run.state == "pruned" and run.rungs else None


def _minutes(run: Run, study: Study) -> float:
    return round(((run.ended or run.asked) - study.created) / 60, 2)


def _shortened(label: str, longest: int = 46) -> str:
    """What a phone's width holds; the whole of it is said where the pointer is."""
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def _text(words: str) -> str:
    """Plotly reads some tags in its texts; what comes from a user has none."""
    return html.escape(words, quote=False)


def _json(figure: go.Figure) -> dict[str, Any]:
    figure.update_layout(margin={"l": 8, "r": 16, "t": 8, "b": 8}, template=None)
    figure.update_xaxes(automargin=True, fixedrange=True)
    figure.update_yaxes(automargin=True, fixedrange=True)
    return dict(figure.to_plotly_json())
