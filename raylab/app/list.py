"""`raylab list`: the studies that are there."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

from raylab.app.console import console, figure, print_json, table
from raylab.app.storage import add_storage_argument
from raylab.errors import UserError
from raylab.search.labels import run_label
from raylab.search.ledger import Study
from raylab.search.measure import Measure, figures
from raylab.search.studies import folders

HELP = "list the studies that are there"


def configure(parser: argparse.ArgumentParser) -> None:
    add_storage_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    rows = [_row(folder) for folder in folders(args.storage)]
    if args.json:
        print_json({"storage": str(args.storage), "studies": rows})
    elif rows:
        columns = ("study", "started", "space", "data", "trials", ">best on dev", "decision")
        console().print(table(*columns, rows=[_cells(row) for row in rows]))
    else:
        console().print(f"No studies in {args.storage}. `raylab search masking --dataset triviaqa` makes one.", markup=False)
    return 0


def overview(study: Study) -> dict[str, Any]:
    """A study in a few plain values."""
    measure = Measure.of(study)
    best = measure.best(study.of_role("explore"))
    estimate = measure.estimates(list(study.runs.values())).get(best.key) if best else None
    return {
        "name": study.name,
        "created": study.created,
        "parent": (study.parent or {}).get("name"),
        "space": study.settings.get("space"),
        "study": study.settings.get("study"),
        "dataset": study.data.get("name"),  # what was read, which need not be what was asked for
        "source": study.data.get("source"),
        "trials": study.counts(),
        "best": {
            "label": run_label(best),
            "key": best.key,
            "metric": measure.name,
            "value": measure.score(best),
            **figures(estimate),
        }
        if best
        else None,
        "decision": (study.verdict or {}).get("decision"),
    }


def told(score: dict[str, Any]) -> str:
    """An estimate with its interval and seeds: "24.1 [23.8, 24.4] over 3 seeds"."""
    seeds = f"over {score['n_seeds']} seed{'' if score['n_seeds'] == 1 else 's'}" if score["n_seeds"] else ""
    limits = "" if score["score_low"] is None else f"[{figure(score['score_low'])}, {figure(score['score_high'])}]"
    return " ".join(part for part in (figure(score["score"]), limits, seeds) if part)


def counts(trials: dict[str, int]) -> str:
    """ "9 finished, 2 pruned": the states that occurred."""
    return ", ".join(f"{count} {state}" for state, count in trials.items() if count) or "none yet"


def when(unix_s: float) -> str:
    """Local time, to the minute."""
    return datetime.fromtimestamp(unix_s).strftime("%Y-%m-%d %H:%M")


def _row(folder: Path) -> dict[str, Any]:
    """A study's overview; one whose ledger cannot be read is shown with the reason, so that it does not hide the others."""
    try:
        return {**overview(Study.read(folder)), "name": folder.name}
    except UserError as error:
        return {"name": folder.name, "error": str(error)}


def _cells(row: dict[str, Any]) -> list[str]:
    if "error" in row:
        return [row["name"], "-", "-", "-", "-", "-", f"unreadable: {row['error']}"]
    data = f"{row['dataset']} from {row['source']}"
    best = f"{told(row['best'])} {row['best']['metric'].replace('_', ' ')}" if row["best"] else "-"
    decision = (row["decision"] or "no verdict yet").replace("_", " ")
    name = f"{row['name']}, continues {row['parent']}" if row["parent"] else row["name"]
    searched = f"study {row['study']}" if row["study"] else str(row["space"])
    return [name, when(row["created"]), searched, data, counts(row["trials"]), best, decision]
