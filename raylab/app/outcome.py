"""What a search says at its end, to a person and to a script."""

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from raylab.app.console import facts, figure, launcher, table
from raylab.app.opening import Opened
from raylab.redaction import without_secrets
from raylab.search.ledger import Study
from raylab.search.measure import Measure
from raylab.search.predicted import capped, in_words, predicted, saved
from raylab.search.studies import DEFAULT_STORAGE
from raylab.search.upkeep import WINNER
from raylab.storage import Storage

_TOLD = (
    "winner", "baseline", "metric", "difference", "low", "high", "seeds", "higher_is_better", "decision", "sentence",
    "prose", "beside", "score", "score_low", "score_high", "n_seeds", "tied",
)  # fmt: skip


def show_verdict(study: Study, out: Console) -> None:
    """The verdict in plain words, and the arms' scores on test."""
    verdict = study.verdict or {}
    for warning in study.data["warnings"]:
        out.print(Text(f"\nWarning: {warning}", style="yellow"))
    out.print()
    out.print(facts(_verdict(study, verdict)))


def show_cost(study: Study, out: Console) -> None:
    """What caps ended early, and what it was predicted to cost beside what it did."""
    whole = [in_words(row) for row in predicted(study) if ", " not in row.name]  # its parts stand in the report
    cost = [f"{name}: {actual}, predicted {before}" for name, before, actual in whole]
    reused = [text] if (text := saved(study)) else []
    told = [
        (title if not n else "", line)
        for title, lines in (("Capped", capped(study)), ("Cost", cost), ("Reused", reused))
        for n, line in enumerate(lines)
    ]
    if told:
        out.print()
        out.print(facts(told))


def _verdict(study: Study, verdict: dict[str, Any]) -> Iterator[tuple[str, RenderableType]]:
    yield "Verdict", Text(verdict["sentence"], style="bold")
    prose = verdict.get("prose")
    if prose and prose["decision"] == verdict["decision"]:  # where it decides otherwise, the sentence says so
        figures = f"{prose['difference']:+.2f}, 95 % interval {_interval(prose)}"
        yield "", f"On prose alone ({prose['questions']} examples) the same: {figures}."
    for beside in verdict.get("beside", []):
        yield "Beside", beside["sentence"]
    arms = [[arm["label"], figure(arm["mean"]), _interval(arm), str(arm["seeds"])] for arm in verdict.get("arms", [])]
    if arms:
        yield "Test", table("recipe", f">{Measure.of(study).words}", ">95 % interval", ">seeds", rows=arms)
        yield "", Text("These intervals may overlap: the verdict compares example by example, seed by seed.", style="dim")


def show_next(opened: Opened, out: Console, report: str) -> None:
    """The commands a person may want now."""
    name, where = opened.conduct.study.name, storage_option(storage_of(opened))
    lines = [("Report", report), ("MLflow", f"{launcher()} ui{where}")]
    if _has_model(opened.placement.place_of(opened.placement.folder / WINNER)):
        lines.append(("Export", f"{launcher()} export {name} --to my-model{where}"))
    out.print()
    for title, told in lines:
        out.print(Text(f"{title:<8}  {told}"), soft_wrap=True)  # paths and commands are for copying


def _has_model(winner: Storage) -> bool:
    """Here, or in the bucket, as far as that tells."""
    with contextlib.suppress(OSError):
        return winner.here.is_dir() or bool(winner.entries())
    return False


def storage_option(storage: Storage) -> str:
    """What a command needs to find the studies in `storage` from here."""
    return "" if storage.here == DEFAULT_STORAGE.resolve() else f" --storage {shlex.quote(str(storage))}"


def storage_of(opened: Opened) -> Storage:
    """Where the study lies, and others with it."""
    return opened.placement.place_of(opened.placement.folder.parent)


def plain(opened: Opened, run_id: str | None, report: str, seconds: float) -> dict[str, Any]:
    """The object for scripts."""
    study, measure = opened.conduct.study, Measure.of(opened.conduct.study)
    verdict = study.verdict or {"decision": "not_run", "metric": measure.name, "higher_is_better": measure.higher_is_better}
    return {
        "name": study.name,
        "dataset": study.data["name"],
        "source": study.data["source"],
        "trials": study.counts(),
        "replicates": sum(run.state == "finished" for run in study.of_role("confirm", "baseline")),
        "best": _best(study, measure),
        "verdict": {name: verdict.get(name) for name in _TOLD},
        "capped": study.capped,
        "predicted": [dataclasses.asdict(row) for row in predicted(study)],
        "report": report,
        "tracking_uri": without_secrets(opened.tracking_uri),
        "run_id": run_id,
        "seconds": round(seconds, 1),
    }


def _best(study: Study, measure: Measure) -> dict[str, Any] | None:
    best = measure.best(study.of_role("explore"))
    if best is None:
        return None
    told = {"metric": measure.name, "value": measure.score(best), "higher_is_better": measure.higher_is_better}
    return {"recipe": best.recipe, **told}


def _interval(figures: dict[str, Any]) -> str:
    return "-" if figures["low"] is None else f"{figures['low']:.2f} to {figures['high']:.2f}"
