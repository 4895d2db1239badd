"""`raylab show`: one study, one run, or what differs between two of a kind."""

import argparse
import dataclasses
from typing import Any

from raylab.app.console import console, figure, print_json, table
from raylab.app.list import counts, overview, told, when
from raylab.app.storage import add_storage_argument
from raylab.errors import UserError
from raylab.search.compare import differences
from raylab.search.flat import flatten
from raylab.search.labels import run_label
from raylab.search.ledger import Run, Study
from raylab.search.lineage import lineage
from raylab.search.measure import Measure, figures
from raylab.search.predicted import capped, in_words, own_total, predicted, saved
from raylab.search.report.table import measures_beside
from raylab.search.studies import find, find_run
from raylab.storage import Storage

HELP = "show one study, or what differs between two studies or two runs"
TOP = 5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="one or two studies, or keys of runs (their first six digits will do)"
    )
    add_storage_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")


def run(args: argparse.Namespace) -> int:
    if len(args.names) > 2:
        raise UserError(f"show takes one name or two; got {len(args.names)}: {', '.join(args.names)}.")
    found = [_find(args.storage, name) for name in args.names]
    if len(found) == 2:
        _show_differences(found, args)
    elif args.json:
        print_json(_details(found[0]))
    elif isinstance(found[0], Study):
        _print_study(found[0])
    else:
        _print_fields(_details(found[0]))
    return 0


def _find(storage: Storage, name: str) -> Study | Run:
    return find_run(storage, name) or Study.read(find(storage, name))


def _details(item: Study | Run) -> dict[str, Any]:
    if isinstance(item, Run):
        kept = (
            "key",
            "role",
            "replicate",
            "trial",
            "state",
            "origin",
            "recipe",
            "metrics",
            "seconds",
            "error",
            "losses",
            "notices",
        )
        return {"label": run_label(item), **{name: getattr(item, name) for name in kept}}
    return {
        **overview(item),
        "continues": item.parent,
        "priors": item.priors,
        "settings": item.settings,
        "data": item.data,
        "environment": item.environment,
        "verdict": item.verdict,
        "capped": item.capped,
        "predicted": [dataclasses.asdict(row) for row in predicted(item)],
        "reused": {name: own_total(item, f"reused_{name}") for name in ("tokens", "flops", "seconds")},
        "top": [_details(run) for run in _top(item)],
        "failures": [
            {"key": run.key, "label": run_label(run), "state": run.state, "reason": _reason(run)} for run in _failures(item)
        ],
        "losses": [{"key": run.key, **loss} for run, loss in _losses(item)],
        "notices": [{"key": run.key, "text": text} for run in item.runs.values() for text in run.notices],
    }


def _top(study: Study) -> list[Run]:
    measure = Measure.of(study)
    scored = [(score, run) for run in study.of_role("explore") if (score := measure.score(run)) is not None]
    return [run for _, run in sorted(scored, key=lambda pair: pair[0], reverse=measure.higher_is_better)[:TOP]]


def _failures(study: Study) -> list[Run]:
    return [run for run in study.runs.values() if run.state in ("failed", "diverged")]


def _losses(study: Study) -> list[tuple[Run, dict[str, Any]]]:
    """Attempts that the machines lost, in the order of time."""
    return sorted(((run, loss) for run in study.runs.values() for loss in run.losses), key=lambda pair: pair[1]["time"])


def _reason(run: Run) -> str:
    """The last line of a traceback is what was raised."""
    return (run.error or "no reason recorded").strip().splitlines()[-1]


def _print_study(study: Study) -> None:
    out = console()
    out.print(f"{study.name}: {(study.verdict or {}).get('sentence', 'no verdict yet')}", style="bold", markup=False)
    for beside in (study.verdict or {}).get("beside", []):
        out.print(f"  beside: {beside['sentence']}", markup=False)
    out.print(f"\nstarted {when(study.created)}; trials: {counts(study.counts())}; {len(study.runs)} runs in all", markup=False)
    for line in capped(study):
        out.print(line, markup=False)
    if costs := predicted(study):
        out.print(table("cost", ">predicted", ">actual", title="\npredicted and actual", rows=[list(in_words(r)) for r in costs]))
    if text := saved(study):
        out.print(f"reused of other runs: {text}", markup=False)
    for line in lineage(study):
        out.print(line, markup=False)
    _print_fields({"settings": study.settings, "data": study.data})
    out.print(
        table(
            "key",
            "recipe",
            ">dev, one seed",
            ">its recipe",
            *(f">{name.replace('_', ' ')}" for name in measures_beside(study)),
            ">tokens",
            ">reused",
            title="\nbest trials",
            rows=_top_cells(study),
        )
    )
    if failures := _failures(study):
        rows = [[run.key, run_label(run), run.state, _reason(run)] for run in failures]
        out.print(table("key", "recipe", "state", "reason", title="\nfailures", rows=rows))
    if losses := _losses(study):
        rows = [[run.key, str(loss["lane"]), str(loss["attempt"]), str(loss["position"]), loss["reason"]] for run, loss in losses]
        out.print(table("key", "lane", "attempt", ">at step", "reason", title="\nlost attempts", rows=rows))
    for run in study.runs.values():
        for text in run.notices:
            out.print(f"\nnote on {run.key}: {text}", markup=False)


def _top_cells(study: Study) -> list[list[str]]:
    measure = Measure.of(study)
    estimates = measure.estimates(list(study.runs.values()))
    beside = measures_beside(study)
    return [[run.key, run_label(run), figure(measure.score(run)), told(figures(estimates.get(run.key))),
             *(figure(run.metrics.get(f"dev_{name}"), 3) for name in beside),
             *(f"{run.metrics.get(name, 0):,.0f}" for name in ("tokens", "reused_tokens"))] for run in _top(study)]  # fmt: skip


def _print_fields(value: dict[str, Any]) -> None:
    """Every leaf of a nested value on a line of its own."""
    rows = [[field, _plain(leaf)] for field, leaf in flatten(value)]
    console().print(table("field", "value", rows=rows))


def _plain(leaf: Any) -> str:
    return "; ".join(map(str, leaf)) if isinstance(leaf, list) else str(leaf)


def _show_differences(found: list[Study | Run], args: argparse.Namespace) -> None:
    if type(found[0]) is not type(found[1]):
        raise UserError(f"{args.names[0]} and {args.names[1]} are a study and a run; give two studies or two runs.")
    changed = differences(*map(_compared, found))
    if args.json:
        print_json({"names": args.names, "differences": [dataclasses.asdict(d) for d in changed]})
    elif changed:
        rows = [[d.field, _plain(d.left), _plain(d.right)] for d in changed]
        console().print(table("field", *args.names, rows=rows))
    else:
        console().print(f"{args.names[0]} and {args.names[1]} do not differ.", markup=False)


def _compared(item: Study | Run) -> dict[str, Any]:
    """What two of a kind are compared by; names, times and keys differ always and say nothing."""
    if isinstance(item, Run):
        return {
            "recipe": item.recipe,
            "role": item.role,
            "replicate": item.replicate,
            "state": item.state,
            "metrics": item.metrics,
        }
    told = ("winner", "baseline", "metric", "difference", "low", "high", "seeds", "decision")
    verdict = {name: (item.verdict or {}).get(name) for name in told}
    return {"settings": item.settings, "data": item.data, "environment": item.environment, "verdict": verdict}
