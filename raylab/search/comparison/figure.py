"""The figure of a comparison: differences from the reference arm, or curves where cases stand along an axis."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PANEL_IN = (4.2, 0.32)  # inches: a panel's width, and its height for every arm
COLUMNS = 3
_STYLE: Any = {
    "svg.hashsalt": "raylab",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(verdict: Mapping[str, Any], path: Path) -> None:
    """Write the figure of these results as SVG; the same results give the same file."""
    import matplotlib  # here, as importing it takes a while

    with matplotlib.rc_context(_STYLE):
        along = [case for case in verdict["cases"] if case["x"] is not None]
        made = _curves(along, verdict["x"]) if along else _differences(verdict["cases"], verdict["reference"])
        made.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")


def _differences(cases: Sequence[Mapping[str, Any]], reference: str) -> Any:
    """A panel a case: every arm's paired difference from the reference with its 95 % interval."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(cases))
    rows = -(-len(cases) // columns)
    arms = max(len(case["arms"]) for case in cases)
    figure = Figure(figsize=(PANEL_IN[0] * columns, (PANEL_IN[1] * arms + 0.9) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for panel, case in zip(panels, cases, strict=False):
        shown = [arm for arm in case["arms"] if arm["label"] != reference][::-1]
        _bars(panel, [arm["against_reference"] for arm in shown])
        panel.set_yticks(range(len(shown)), [arm["label"] for arm in shown])
        better = "right" if case["higher_is_better"] else "left"
        panel.set_title(case["name"])
        panel.set_xlabel(f"{case['metric'].replace('_', ' ')} minus that of {reference}; better to the {better}")
    for panel in list(figure.axes)[len(cases) :]:
        panel.set_axis_off()
    return figure


def _bars(panel: Any, figures: Sequence[Mapping[str, Any]]) -> None:
    panel.axvline(0, color="0.6", linewidth=0.8)
    for row, found in enumerate(figures):
        if found["difference"] is None:
            continue
        if found["low"] is not None:
            panel.plot([found["low"], found["high"]], [row, row], color="C0", linewidth=1.6)
        panel.plot([found["difference"]], [row], "o", color="C0", markersize=4)


def _curves(cases: Sequence[Mapping[str, Any]], x: str) -> Any:
    """A line an arm over where the cases stand, with 95 % intervals; an axis that spans a hundredfold is logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    panel = figure.subplots()
    for label in dict.fromkeys(arm["label"] for case in cases for arm in case["arms"]):
        points = [(case["x"], arm) for case in cases for arm in case["arms"] if arm["label"] == label and arm["mean"] is not None]
        points.sort(key=lambda point: float(point[0]))
        means = [arm["mean"] for _, arm in points]
        below, above = ([abs(arm["mean"] - (arm[limit] or arm["mean"])) for _, arm in points] for limit in ("low", "high"))
        panel.errorbar([at for at, _ in points], means, yerr=[below, above], label=label, marker="o", markersize=3, capsize=2)
    spans = [case["x"] for case in cases]
    if min(spans) > 0 and max(spans) / min(spans) >= 100:
        panel.set_xscale("log")
    panel.set_xlabel(x)
    panel.set_ylabel(cases[0]["metric"].replace("_", " "))
    panel.legend(frameon=False)
    return figure
