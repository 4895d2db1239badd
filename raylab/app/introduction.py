"""What a search says before it begins: what it rests on, and what it will do."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from raylab.app.console import facts
from raylab.app.opening import Opened
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
    questions = ", ".join(f"{n:,} {split}" for split, n in data["questions"].items())
    source = "built in" if data["source"] == f"builtin:{data['name']}" else f"from {data['source']}"
    yield "Data", f"{data['name']}, {source}: questions {questions}"
    yield "Corpus", f"{data['corpus']}: {data['passages']:,} passages, {data['tokens']:,} tokens"
    yield from (("", note) for note in data["notes"])


def _work(opened: Opened) -> Iterator[tuple[str, str]]:
    settings, place, baseline = opened.conduct.settings, opened.placement, opened.conduct.space.baseline_family
    base, metric = settings.setting.base, settings.metric.replace("_", " ")
    origin = base.pretrained or f"{base.family}-like, scale {base.scale}, from random weights"
    yield "Model", f"{opened.parameters / 1e6:.1f}M parameters, {origin}, {base.precision}"
    ended = sum(run.state in ENDED for run in opened.conduct.study.runs.values())
    kept = f"; {ended} run{' stands' if ended == 1 else 's stand'} from before" if opened.resumed else ""
    yield "Search", f"{settings.trials} trials over {', '.join(settings.setting.policies)}; seed {settings.seed}{kept}"
    arms = f"{baseline} with all else equal, the best {baseline} found and no pretraining"
    yield "Verdict", f"the winner, {arms}, by {metric} on at most {settings.seeds} fresh paired seeds and the test split"
    least, most = place.fewest_workers, place.most_workers
    workers = f"{least} to {most} workers" if least < most else f"{most} worker{'s' * (most > 1)}"
    kind = f", {place.gpus_per_worker:g} GPU each" if place.gpus_per_worker else ""
    yield "Lanes", f"{place.lanes} of {workers}{kind}"
