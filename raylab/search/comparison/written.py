"""A comparison's results as files in its study's folder: RESULT.md for people, result.json for scripts, figure.svg.

All three are read from the ledger alone, so they can be written anew at any time (`raylab report`).
"""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raylab.search.comparison.figure import draw
from raylab.search.comparison.words import with_limits
from raylab.search.ledger import Study

RESULT, TABLE, FIGURE = "RESULT.md", "result.json", "figure.svg"
FILES = (RESULT, TABLE, FIGURE)
_DATA = "DATA"  # in the place of the folder of data that a person named: it lies elsewhere for the reader
_DIGITS = {"bits_per_answer": 2}


def is_comparison(study: Study) -> bool:
    """Whether this is a comparison's ledger, and not a search's."""
    return "study" in study.settings


def write(folder: Path) -> Path:
    """Write all three, and return the path of RESULT.md. Raises UserError if there is no study in `folder`."""
    study = Study.read(folder)
    environment = {**study.environment, "command": _command(study.environment.get("command", ""))}
    result = {**(study.verdict or {}), "settings": study.settings, "data": study.data, "environment": environment}
    if study.verdict:
        draw(study.verdict, folder / FIGURE)
    _save(folder / TABLE, _anywhere(json.dumps(result, indent=1, ensure_ascii=False), study) + "\n")
    _save(folder / RESULT, _anywhere("\n".join(_page(study)), study) + "\n")
    return folder / RESULT


def _page(study: Study) -> Iterator[str]:
    """What was asked and found, how, and the figures of every case."""
    settings, verdict = study.settings, study.verdict
    yield from [f"# {settings['question']}", ""]
    yield from [settings["background"], ""] if settings.get("background") else []
    if verdict:
        yield from _findings(verdict)
    else:
        yield "No result yet: the study was stopped before its runs had ended."
    yield from ["", "## How", "", "```sh", _command(study.environment.get("command", "")), "```", ""]
    yield from _rests_on(study)
    if verdict:
        for case in verdict["cases"]:
            yield from _case(case, verdict)


def _command(command: str) -> str:
    """Without what decides no number, as where results were kept."""
    kept, parts = list[str](), iter(shlex.split(command))
    for part in parts:
        if part == "--storage":
            next(parts, None)
        elif part not in ("--json", "--quiet") and not part.startswith("--storage="):
            kept.append(part)
    return shlex.join(kept)


def _rests_on(study: Study) -> Iterator[str]:
    environment, settings = study.environment, study.settings
    versions = ", ".join(f"{name} {environment[name]}" for name in ("torch", "transformers", "ray") if name in environment)
    when = datetime.fromtimestamp(study.created, UTC).strftime("%Y-%m-%d")
    commit, device = environment.get("commit") or "of an installed package", environment.get("device", "")
    yield f"- **Commit** {commit}, {versions}; {device}; {when}."
    yield (
        f"- **Seeds** {settings['seeds']}, shared by all arms of a case (study seed {settings['seed']}); test split; what is "
        "chosen is chosen on dev."
    )
    yield (
        f"- **Models** {_models(study)}; {settings['budget_tokens']:,} corpus tokens to a pretraining stage, "
        f"{settings['finetune_steps']:,} steps of finetuning, batches of {settings['batch_size']}, unless its file says so."
    )
    for name, data in study.data["cases"].items():
        told = f"{data['passages']:,} passages, {data['tokens']:,} tokens of a vocabulary of {data['vocabulary']:,}"
        sizes = ", ".join(f"{count:,} {split}" for split, count in (data.get("questions") or data["examples"]).items())
        yield (
            f"- **Data of {name}**: {data['name']} from {data['source']} ({sizes}); corpus {data['corpus']}, {told}; "
            f"fingerprint {data['fingerprint']}."
        )
        yield from (f"  Note: {note}." for note in (*data["warnings"], *data["notes"]))
    runs = list(study.runs.values())
    finished = sum(run.state == "finished" for run in runs)
    yield f"- **Runs** {finished} finished of {len(runs)}, {_spoken_s(study.worked_s)} of work."


def _models(study: Study) -> str:
    """The base models of its runs."""
    bases = [run.recipe["base"] for run in study.runs.values()]
    told = (base["pretrained"] or f"{base['family']}, scale {base['scale']}, from random weights" for base in bases)
    return " and ".join(dict.fromkeys(told)) or "none yet"


def _findings(verdict: Mapping[str, Any]) -> Iterator[str]:
    yield from ["## What was found", ""]
    runs = verdict["runs"]
    if runs["ended"] < runs["asked"]:
        yield f"**Not complete**: {runs['ended']} of {runs['asked']} runs have ended. What stands here is no result yet."
        yield ""
    yield (
        f"{verdict['sentence']} All of them together are wrong in at most 5 % of the cases (Holm); an interval is drawn at the "
        "level at which its contrast is tested. A difference is told only where that interval, over other seeds and other test "
        "examples, leaves out zero."
    )
    yield ""
    yield from (f"- {_emphasised(row)}" for row in verdict["beside"])
    yield ""
    yield f"![Differences from {verdict['reference']}]({FIGURE})"
    for section in verdict["derived"]:
        yield from ["", f"## {section['title']}", ""]
        yield from _table(section["columns"], section["rows"])
        yield from ["", section["note"]] if section["note"] else []


def _emphasised(row: Mapping[str, Any]) -> str:
    text = row["sentence"].replace(", adjusted for the other comparisons (Holm)", "")
    p = "" if row["p"] is None else f" Adjusted p {_p(row['p'])}."
    return f"{f'**{text}**' if row['decision'] in ('better', 'worse') else text}{p}"


def _p(p: float) -> str:
    return "below 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def _case(case: Mapping[str, Any], verdict: Mapping[str, Any]) -> Iterator[str]:
    metric = case["metric"]
    others = [name for name in case["arms"][0]["measures"] if name != metric] if case["arms"] else []
    better = "higher" if case["higher_is_better"] else "lower"
    yield from ["", f"## {case['name']}", ""]
    columns = [
        "arm", f"{_words(metric)}, test ({better} is better)", "95 % interval", f"from {verdict['reference']}", "by seed",
        *map(_words, others), "corpus tokens", "TFLOP",
    ]  # fmt: skip
    yield from _table(columns, [_cells(arm, metric, others, verdict) for arm in case["arms"]])
    if failures := [f"{arm['label']}: {text}" for arm in case["arms"] for text in arm["failures"]]:
        yield from ["", "Did not finish: " + "; ".join(failures)]
    yield from ["", "Recipes: " + "; ".join(f"{arm['label']} = {arm['recipe']}" for arm in case["arms"]) + "."]


def _cells(arm: Mapping[str, Any], metric: str, others: Sequence[str], verdict: Mapping[str, Any]) -> list[str]:
    digits, used, against = _DIGITS.get(metric, 4), arm["used"], arm["against_reference"]
    difference = ""
    if arm["label"] != verdict["reference"]:
        difference = with_limits(against["difference"], against["low"], against["high"], digits)
    return [
        arm["label"], _number(arm["mean"], digits), _interval(arm, digits), difference,
        " ".join(_number(value, digits) for value in arm["values"]),
        *(_number(arm["measures"].get(name), _DIGITS.get(name, 4)) for name in others),
        _number(used.get("tokens"), 0), _number(used.get("flops", 0.0) / 1e12, 2),
    ]  # fmt: skip


def _interval(figures: Mapping[str, Any], digits: int) -> str:
    return "-" if figures["low"] is None else f"{figures['low']:.{digits}f} to {figures['high']:.{digits}f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'|'.join('---' for _ in columns)}|"
    yield from (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def _spoken_s(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 90 else f"{seconds / 60:,.0f} min"


def _anywhere(text: str, study: Study) -> str:
    """Without the folders that hold the data and checkpoints on this machine."""
    bases = [base for run in study.runs.values() if (base := run.recipe["base"]["pretrained"])]
    folders = {base: Path(base).name for base in bases if Path(base).is_absolute()}
    if data := study.settings.get("data_dir"):
        folders[data] = _DATA
    for folder, told in folders.items():
        text = text.replace(folder, told)
    return text


def _save(path: Path, text: str) -> None:
    """Replace a file at once, so that nobody reads half of it."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
