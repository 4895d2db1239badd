"""Writing the report: what the ledger tells, laid out by the templates."""

import functools
import json
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from raylab.search.flat import flatten
from raylab.search.ledger import Run, Study
from raylab.search.lineage import lineage
from raylab.search.measure import Measure
from raylab.search.predicted import capped, in_words, own_total, padding_share, predicted, saved
from raylab.search.report import table, words
from raylab.search.report.importance import FEWEST_TRIALS, importances

MASKS = "masks.json"  # what was drawn for masks.html
FILES = ("report.html", "masks.html", "runs.csv", "verdict.json", "winner.json")

Masks = Mapping[str, Sequence[Sequence[tuple[str, bool]]]]


def write(folder: Path, masks: Masks | None = None) -> Path:
    """Write report.html and its tables into the study's `folder`, and return the page's path.

    masks: for each policy, what it hides in some sample passages, as pieces of text with a hidden flag. They are kept
    in masks.json, so that the report can be written again without drawing them. Raises UserError if there is no study.
    """
    study = Study.read(folder)
    kept = _kept_masks(folder, masks)
    page = _environment().get_template("report.html").render(_context(study, kept))
    _save(folder / "report.html", page)
    _save(folder / "runs.csv", table.as_csv(study))
    if kept:
        _save(folder / "masks.html", _environment().get_template("masks.html").render(title=study.name, passages=_passages(kept)))
    if study.verdict:
        _save(folder / "verdict.json", _pretty(study.verdict))
    if winner := winning_run(study):
        _save(folder / "winner.json", _pretty(winner.recipe))
    return folder / "report.html"


def winning_run(study: Study) -> Run | None:
    """The first run of the verdict's winner, or without a verdict the best of exploration."""
    verdict = study.verdict or {}
    keys = [key for arm in verdict.get("arms", ()) if arm.get("label") == verdict.get("winner") for key in arm.get("keys", ())]
    known = (study.runs[key] for key in keys if key in study.runs)
    return next(known, None) or Measure.of(study).best(study.of_role("explore"))


def _context(study: Study, masks: Masks) -> dict[str, Any]:
    from raylab.search.report import charts  # importing Plotly takes a second

    measure, verdict = Measure.of(study), study.verdict or {}
    found = importances(study.of_role("explore"), measure)
    figures = {
        "arms": charts.arms(verdict, measure), "differences": charts.differences(verdict, measure),
        "progress": charts.progress(study, measure), "importance": charts.importance(found),
        "times": charts.times(study),
    }  # fmt: skip
    winner = winning_run(study)
    return {
        "study": study, "measure": measure, "verdict": verdict, "headline": words.headline(study),
        "decision": verdict.get("decision", "not_run"), "interval": words.interval(verdict, measure),
        "warnings": study.data.get("warnings") or (), "totals": _totals(study), "figures": figures,
        "plotly": _plotly() if any(figures.values()) else "", "fewest_trials": FEWEST_TRIALS,
        "unsure": any(not one.sure for one in found), "passages": _passages(masks), "rows": table.rows(study),
        "beside": table.measures_beside(study),
        "failures": [run for run in study.runs.values() if run.error],
        "costs": [(*in_words(row), row.held) for row in predicted(study)], "capped": capped(study),
        "padding": padding_share(study), "lineage": lineage(study),
        "command": study.environment.get("command") or study.settings.get("command"), "winner": winner,
        "winner_recipe": _pretty(winner.recipe) if winner else "",
        "facts": {"Data": _facts(study.data), "Settings": _facts(study.settings), "Environment": _facts(study.environment)},
    }  # fmt: skip


def _totals(study: Study) -> list[tuple[str, str]]:
    states = ", ".join(f"{number} {state}" for state, number in study.counts().items() if number)
    reused = own_total(study, "reused_tokens")
    spared = [("reused of other runs", saved(study))] if reused else []
    return [
        ("trials", states or "none ended"),
        ("runs of the verdict", str(len(study.of_role("confirm", "baseline")))),
        ("corpus tokens read", words.count(own_total(study, "tokens"))),
        ("compute", f"{words.count(own_total(study, 'flops'))}FLOP"),
        ("time", words.duration(study.worked_s)),
        *spared,
    ]


def _facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was set, by name, in words."""
    return [(path.replace("_", " "), text) for path, value in flatten(values) if (text := _spoken(value)) not in ("", "None")]


def _spoken(value: Any) -> str:
    """A plain value; a list in one line, unless its entries are sentences."""
    if not isinstance(value, (list, tuple)):
        return str(value)
    entries = [str(entry) for entry in value]
    return ("\n" if any(" " in entry for entry in entries) else ", ").join(entries)


def _passages(masks: Masks) -> list[list[dict[str, Any]]]:
    """By passage, so that policies stand one below the other over the same text; neighbours of one kind are joined."""
    longest = max(map(len, masks.values()), default=0)
    return [[_masked(policy, drawn[i]) for policy, drawn in masks.items() if i < len(drawn)] for i in range(longest)]


def _masked(policy: str, pieces: Sequence[tuple[str, bool]]) -> dict[str, Any]:
    joined = [(hidden, "".join(text for text, _ in run)) for hidden, run in groupby(pieces, key=lambda piece: bool(piece[1]))]
    share = sum(len(text) for text, hidden in pieces if hidden) / max(1, sum(len(text) for text, _ in pieces))
    return {"policy": policy, "pieces": [part for piece in joined for part in _trimmed(*piece)], "share": share}


def _trimmed(hidden: bool, text: str) -> list[tuple[bool, str]]:
    """A hidden piece without the space around it, which would be marked as well."""
    if not hidden or not text.strip():
        return [(hidden, text)]
    before, core, after = text.partition(text.strip())
    return [(False, before), (True, core), (False, after)]


def _kept_masks(folder: Path, masks: Masks | None) -> Masks:
    path = folder / MASKS
    if masks is not None:
        _save(path, json.dumps(masks, ensure_ascii=False))
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("raylab.search.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"number": words.number, "limits": words.limits, "count": words.count, "duration": words.duration}
    environment.filters |= {"short": words.short, "numeric": lambda name: (name, "n")}
    environment.globals["decisions"] = words.DECISIONS
    return environment


@functools.cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _save(path: Path, text: str) -> None:
    """Replace a file at once, so that nobody reads half of it."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
