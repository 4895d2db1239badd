"""What a search says at its end, to a person and to a script."""

from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from raylab.app.console import figure, table
from raylab.app.opening import Opened
from raylab.search.ledger import Study
from raylab.search.measure import Measure


def show_verdict(study: Study, out: Console) -> None:
    """The verdict in plain words, and the arms' scores on test."""
    verdict = study.verdict or {}
    for warning in study.data["warnings"]:
        out.print(Text(f"Warning: {warning}", style="yellow"))
    out.print(Text(f"Verdict: {verdict['sentence']}", style="bold"))
    rows = [
        [arm["label"], arm["role"], figure(arm["mean"]), _interval(arm), str(arm["seeds"])] for arm in verdict.get("arms", [])
    ]
    name = Measure.of(study).words
    out.print(Padding(table("recipe", "", f">{name}, test", ">95 % interval", ">seeds", rows=rows), (0, 0, 0, 2)))
    for beside in verdict.get("beside", []):
        out.print(Text(f"  Beside it: {beside['sentence']}"))


def show_next(opened: Opened, out: Console, report: str) -> None:
    """The commands a person may want now."""
    name, storage = opened.conduct.study.name, opened.placement.folder.parent
    where = "" if storage.name == "runs" and storage.parent.samefile(".") else f" --storage {storage}"
    out.print(Text(f"Report:   {report}"))
    out.print(Text(f"MLflow:   raylab ui{where}"))
    if (opened.placement.folder / "winner").is_dir():
        out.print(Text(f"Export:   raylab export {name} --to my-model{where}"))


def plain(opened: Opened, run_id: str | None, report: str, seconds: float) -> dict[str, Any]:
    """The object for scripts."""
    study, settings = opened.conduct.study, opened.conduct.settings
    best = Measure.of(study).best(study.of_role("explore"))
    names = ("winner", "baseline", "metric", "difference", "low", "high", "seeds", "higher_is_better", "decision", "sentence", "prose", "beside")
    verdict = study.verdict or {"decision": "not_run", "metric": settings.metric}
    higher = Measure.of(study).higher_is_better
    value = best.metrics[f"dev_{settings.metric}"] if best else None
    return {
        "name": study.name,
        "dataset": study.data["name"],
        "source": study.data["source"],
        "trials": study.counts(),
        "replicates": sum(run.state == "finished" for run in study.of_role("confirm", "baseline")),
        "best": {"recipe": best.recipe, "metric": settings.metric, "value": value, "higher_is_better": higher} if best else None,
        "verdict": {name: verdict.get(name) for name in names},
        "report": report,
        "tracking_uri": opened.tracking_uri,
        "run_id": run_id,
        "seconds": round(seconds, 1),
    }


def _interval(figures: dict[str, Any]) -> str:
    return "-" if figures["low"] is None else f"{figures['low']:.2f} to {figures['high']:.2f}"
