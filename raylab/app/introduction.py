"""What a search says before it begins: what it rests on, and what it will do."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from raylab.app.console import facts
from raylab.app.opening import Opened
from raylab.recipe import encode
from raylab.search.labels import without_stages
from raylab.search.ledger import ENDED
from raylab.search.lineage import lineage


def introduce(opened: Opened, out: Console) -> None:
    """What the study is about to do, and what it rests on."""
    data = opened.conduct.study.data
    for warning in data["warnings"]:
        out.print(Text(f"Warning: {warning}", style="yellow"))
    out.print(facts([("Study", opened.conduct.study.name), *_before(opened), *_data(data), *_work(opened)]))
    out.print(
        Text(f"{'Results':<8}  {opened.placement.place_of(opened.placement.folder)}"), soft_wrap=True
    )  # a path is for copying


def _before(opened: Opened) -> Iterator[tuple[str, str]]:
    for number, sentence in enumerate(lineage(opened.conduct.study)):
        yield "" if number else "Before", sentence


def _data(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    noun = "questions" if "questions" in data else "examples"
    sizes = ", ".join(f"{n:,} {split}" for split, n in data[noun].items())
    source = "built in" if data["source"] == f"builtin:{data['name']}" else f"from {data['source']}"
    family = "" if noun == "questions" else f" ({data['family'].replace('_', ' ')})"
    yield "Data", f"{data['name']}{family}, {source}: {noun} {sizes}"
    yield "Corpus", f"{data['corpus']}: {data['passages']:,} passages, {data['tokens']:,} tokens"
    if sources := data.get("sources"):
        yield "Sources", f"{len(sources)} tasks, {sum(sources.values()):,} train examples: {', '.join(sources)}"
    yield from (("", note) for note in data["notes"])


def _work(opened: Opened) -> Iterator[tuple[str, str]]:
    settings, place = opened.conduct.settings, opened.placement
    base, metric = settings.setting.base, settings.metric.replace("_", " ")
    origin = base.pretrained or f"{base.family}-like, scale {base.scale}, from random weights"
    yield "Model", f"{opened.parameters / 1e6:.1f}M parameters, {origin}, {base.precision}"
    ended = sum(run.state in ENDED for run in opened.conduct.study.runs.values())
    kept = f"; {ended} run{' stands' if ended == 1 else 's stand'} from before" if opened.resumed else ""
    searched = opened.conduct.space.searched(settings.setting)
    yield "Search", f"{settings.trials} trials over {', '.join(searched)}; seed {settings.seed}{kept}"
    yield "Verdict", f"{_arms(opened)}, by {metric} on at most {settings.seeds} fresh paired seeds and the test split"
    least, most = place.fewest_workers, place.most_workers
    workers = f"{least} to {most} workers" if least < most else f"{most} worker{'s' * (most > 1)}"
    kind = f", {place.gpus_per_worker:g} GPU each" if place.gpus_per_worker else ""
    runs = f", {place.runs_per_lane} runs at once on each" if place.runs_per_lane > 1 else ""
    yield "Lanes", f"{place.lanes} of {workers}{kind}{runs}"


def _arms(opened: Opened) -> str:
    """Which recipes the verdict compares."""
    space, setting = opened.conduct.space, opened.conduct.settings.setting
    usual, name = space.decode({}, setting)[0], space.baseline_family
    compared = ["the winner", f"{name} with all else equal", f"the best {name} found"]
    if space.plain(usual) != space.baseline(usual, setting):
        compared.append(without_stages(encode(setting.base)))
    return f"{', '.join(compared[:-1])} and {compared[-1]}"
