"""A study of experiments/ at work: from options to lanes, ledger and tracking, and to its table."""

import argparse
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from raylab.app.console import console, duration, facts, figure, launcher, print_json, table
from raylab.app.display import Display
from raylab.app.environment import commit, environment, gpus_here
from raylab.app.joining import agreed, joined
from raylab.app.opening import command_line, placement_of, stores
from raylab.app.outcome import storage_option
from raylab.app.preparation import described, load_for, preparation_for
from raylab.app.search_options import DATA, base_of, check_same, numbers_of
from raylab.app.session import CLOSE_TRACKING_S, INTERRUPTED, alone, share_data
from raylab.app.sources import Wanted, sources_of
from raylab.cluster.attempt import LaneLostError
from raylab.cluster.connection import Cluster, look
from raylab.cluster.runner import LaneRunner, Placement
from raylab.cluster.shipping import pack
from raylab.cluster.tracking import Mirror
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.remembered import content_of
from raylab.data.source import DataRequest
from raylab.data.task import SPLITS, TaskData
from raylab.errors import Halted, UserError, unknown
from raylab.models.build import is_encoder_decoder
from raylab.recipe import ModelSpec, Recipe, digest, encode
from raylab.registry import add_plugins
from raylab.search.comparison import written
from raylab.search.comparison.conduct import COMPARING, Comparing, conduct
from raylab.search.comparison.declared import Asked, Case, Comparison, load_comparison
from raylab.search.comparison.results import conclude
from raylab.search.ledger import Ledger, Study
from raylab.search.plan import START_S
from raylab.search.reading import tokens
from raylab.search.speed import survey
from raylab.search.studies import find
from raylab.search.study import Request
from raylab.search.upkeep import Upkeep, ended

OPTIONS: dict[str, Any] = {
    "study": None, "study_file": None, **DATA, "dataset": None, "seeds": None, "seed": 0, "scale": None, "family": "t5",
    "base": None, "precision": None, "set": [],
}  # fmt: skip
_LIMITS = tuple(name for name in DATA if name not in ("dataset", "data_dir", "corpus"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A comparison ready to run: what it compares, where, and the store that tracks it."""

    comparing: Comparing
    placement: Placement
    cluster: Cluster | None
    tracking_uri: str
    resumed: bool

    @property
    def study(self) -> Study:
        """Its ledger, read."""
        return self.comparing.study


class Data:
    """Loads data, and makes them ready for base models, each once."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._loaded: dict[str, TaskData] = {}
        self._prepared: dict[str, tuple[TaskData, Prepared]] = {}

    def __call__(self, case: Case, request: DataRequest, base: ModelSpec) -> tuple[TaskData, Prepared]:
        """As raylab.search.comparison.declared.Prepare."""
        how = preparation_for(base)
        if case.tokenizer_of is not None and how.tokenizer is None:
            whole = self._of(case.tokenizer_of, base, how)[1]
            how = replace(how, tokenizer=str(whole.folder / "tokenizer"))
        return self._of(request, base, how, case.kinds, case.sources)

    def _of(
        self, request: DataRequest, base: ModelSpec, how: Preparation, kinds: tuple[str, ...] = (), named: tuple[str, ...] = ()
    ) -> tuple[TaskData, Prepared]:
        asked, key = str(request), f"{request} {how} {kinds} {named}"
        if asked not in self._loaded:
            self._loaded[asked] = load_for(request, base.pretrained)
        if key not in self._prepared:
            data = of_kinds(self._loaded[asked], kinds)
            wanted = Wanted(named=named, writes=is_encoder_decoder(base))
            sources = sources_of(data, request, wanted).others if named else {}
            self._prepared[key] = data, prepare(data, content_of(data), how, self._storage, sources=sources)
        return self._prepared[key]


def of_kinds(data: TaskData, kinds: Sequence[str]) -> TaskData:
    """The examples of these kinds; all if none is named. Raises UserError for a kind of which a split has none."""
    if not kinds:
        return data
    known = {example.kind for example in data.splits["train"]}
    for kind in kinds:
        if kind not in known:
            raise unknown(f"kind of example in {data.name}", kind, filter(None, known))
    kept = {split: tuple(e for e in data.splits[split] if e.kind in kinds) for split in SPLITS}
    if empty := [split for split in SPLITS if not kept[split]]:
        raise UserError(f"{data.name} has no example of {', '.join(kinds)} in {empty[0]}. Name others, or more of them.")
    return replace(data, splits=kept)


def open_comparison(args: argparse.Namespace) -> Opened:
    """The comparison that the options describe, or the one they resume. Raises UserError; only data are written."""
    cluster = look(args.address) if args.address else None
    for folder in args.plugins:
        add_plugins(folder)
        pack(folder)
    started = Study.read(find(args.storage, args.resume)) if args.resume else None
    if started and not written.is_comparison(started):
        raise UserError(f"{started.name} is a search; go on with it by `raylab search --resume {started.name}`.")
    options = _options(args, started, (cluster.gpus if cluster else gpus_here()) > 0)
    comparison = load_comparison(options["study"], Path(options["study_file"]) if options["study_file"] else None)
    options["seeds"] = comparison.seeds if options["seeds"] is None else options["seeds"]
    if options["seeds"] < 1:
        raise UserError(f"--seeds is {options['seeds']}; expected 1 or more, and 2 for anything to be told apart.")
    asked = asked_of(options)
    placement = placement_of(args, cluster)
    storage, tracking_uri = stores(args, new=started is None)
    study = started or Study(name="", settings={}, data={}, environment={}, created=time.time())
    comparing = Comparing(
        comparison, asked, study, seed=options["seed"], seeds=options["seeds"], prepare=Data(storage), storage=storage,
        tell=(lambda text: None) if args.quiet else (lambda text: console().print(Text(text))),
    )  # fmt: skip
    data = _data(comparing)
    if started is None:
        study.name = args.name or f"{comparison.name}-{data['name']}-{datetime.now():%Y%m%d-%H%M%S}"
        study.settings, study.data = _settings(options, comparison, asked, comparing), data
        study.environment = environment(command_line(args))
    elif started.data["fingerprint"] != data["fingerprint"]:
        raise UserError(f"the data of {started.name} have changed since it was started. Bring the old ones back, or start anew.")
    return Opened(
        comparing=comparing, placement=replace(placement, folder=storage / study.name), cluster=cluster,
        tracking_uri=tracking_uri, resumed=started is not None,
    )  # fmt: skip


def asked_of(options: Mapping[str, Any]) -> Asked:
    """The options as a study's file sees them. Raises UserError for what `--set` cannot set here."""
    numbers, other = numbers_of(options)
    if other:
        raise unknown("choice for --set", next(iter(other)), numbers, "A study's file fixes all else.")
    return Asked(
        base=base_of(options), **numbers, corpus=options["corpus"],
        datasets=tuple(name.strip() for name in (options["dataset"] or "").split(",") if name.strip()),
        data_dir=Path(options["data_dir"]) if options["data_dir"] else None,
        limits={name: options[name] for name in _LIMITS},
    )  # fmt: skip


def _options(args: argparse.Namespace, started: Study | None, has_gpu: bool) -> dict[str, Any]:
    given = {name: _plain(value) for name in OPTIONS if (value := getattr(args, name, None)) is not None}
    if started is not None:
        stored = {name: started.settings.get(name, default) for name, default in OPTIONS.items()}
        check_same(stored, given, started.name)
        return stored
    options = {**OPTIONS, **given}
    options["scale"] = options["scale"] or ("small" if has_gpu else "tiny")
    options["precision"] = options["precision"] or ("bfloat16" if has_gpu else "float32")
    return options


def _plain(value: Any) -> Any:
    return str(value.expanduser().resolve()) if isinstance(value, Path) else value


def _settings(options: Mapping[str, Any], comparison: Comparison, asked: Asked, comparing: Comparing) -> dict[str, Any]:
    told = {"budget_tokens": asked.budget_tokens, "finetune_steps": asked.finetune_steps, "batch_size": asked.batch_size}
    return {
        **options, **told, "study": comparison.name, "question": comparison.question, "background": comparison.background,
        "metric": comparing.metric(comparing.cases[0]), "reference": comparison.reference,
        "cases": {case.name: comparing.labels(case) for case in comparing.cases},
    }  # fmt: skip


def _data(comparing: Comparing) -> dict[str, Any]:
    """What the ledger says of the data of all cases."""
    cases = {}
    for case in comparing.cases:
        arm = comparing.placed(case, 1)[comparing.comparison.reference]
        cases[case.name] = described(comparing.task(case), comparing.data(case, arm, arm.recipes[0]))
    first = next(iter(cases.values()))
    names = list(dict.fromkeys(str(told["name"]) for told in cases.values()))
    whole: dict[str, Any] = {**first, "name": "-".join(names[:3]) + ("-and-more" if len(names) > 3 else ""), "cases": cases}
    if len(cases) > 1:
        whole["fingerprint"] = digest(sorted(str(told["fingerprint"]) for told in cases.values()))
    return whole


# --- at work ------------------------------------------------------------------------------------------------------


def compare(opened: Opened, begun: float, args: argparse.Namespace) -> int:
    """Run what is due of it; exit code 0 with a table, 1 if nothing finished, 130 if interrupted."""
    out = Console(quiet=True) if args.quiet else console()
    _introduce(opened, out)
    if opened.cluster and not args.yes:
        _tell_plan(opened, console())
        if not agreed():
            console().print(Text("Nothing was run."))
            return 0
    with joined(opened.cluster, opened.placement) if opened.cluster else contextlib.nullcontext():
        status, trouble = _work(opened, out, args.quiet)
    _conclude(opened, status, out)
    for line in filter(None, trouble):
        out.print(Text(line))
    if args.json:
        print_json(_told(opened, time.monotonic() - begun))
    return status


def _work(opened: Opened, out: Console, quiet: bool) -> tuple[int, list[str]]:
    """The exit code, and what could not be sent."""
    folder = opened.placement.folder
    folder.mkdir(parents=True, exist_ok=opened.resumed)
    upkeep = Upkeep(opened.placement.place_of(folder), ended(opened.study), tell=lambda text: out.print(Text(text)))
    with alone(folder), upkeep, _ledger(opened) as ledger:
        for data in opened.comparing.folders():
            share_data(opened.placement, data, out)
        mirror = Mirror(folder, opened.tracking_uri, folder.parent / "artifacts")
        mirror.start()
        try:
            status = _run(opened, ledger, upkeep, quiet)
        except KeyboardInterrupt:
            ledger.append("interrupted")
            _draw(opened, ledger)
            status = INTERRUPTED
        except (Halted, LaneLostError) as fault:
            raise Halted(f"{fault} The study keeps what it told so far. Once that is mended: {_resume(opened)}") from fault
        finally:
            written.write(folder)
            flush = mirror.close(CLOSE_TRACKING_S)
    return status, [flush.line, upkeep.trouble]


@contextlib.contextmanager
def _ledger(opened: Opened) -> Iterator[Ledger]:
    study, ledger = opened.study, Ledger(opened.placement.folder)
    if opened.resumed:
        study.apply(ledger.append("resumed", commit=commit()))
    else:
        ledger.append("study", name=study.name, settings=study.settings, data=study.data, environment=study.environment)
    with contextlib.closing(ledger):
        yield ledger


def _run(opened: Opened, ledger: Ledger, upkeep: Upkeep, quiet: bool) -> int:
    comparing, place = opened.comparing, opened.placement
    with Display(comparing, place.lanes, quiet=quiet) as display:
        conduct(
            comparing,
            LaneRunner(place, comparing.folders()[0], comparing.study, ledger, on_change=display, upkeep=upkeep),
        )
    _draw(opened, ledger)
    return 0 if any(run.state == "finished" for run in comparing.study.runs.values()) else 1


def _draw(opened: Opened, ledger: Ledger) -> None:
    """The table, as far as runs have ended."""
    if opened.comparing.phase().name == COMPARING:
        opened.study.apply(ledger.append("verdict", verdict=conclude(opened.comparing)))


# --- what is said -------------------------------------------------------------------------------------------------


def _introduce(opened: Opened, out: Console) -> None:
    comparing, study = opened.comparing, opened.study
    runs = len(comparing.comparing())
    rows = [("Study", study.name), ("Asks", comparing.comparison.question)]
    for case in comparing.cases:
        data = study.data["cases"][case.name]
        sizes = ", ".join(f"{n:,} {split}" for split, n in (data.get("questions") or data["examples"]).items())
        told = f"{case.name}: {data['name']} ({sizes}), corpus {data['corpus']} of {data['tokens']:,} tokens"
        rows.append(("" if len(rows) > 2 else "Cases", told))
        rows += [("", f"warning: {warning}") for warning in data["warnings"]]
    rows.append(("Arms", ", ".join(comparing.labels(comparing.cases[0]))))
    rows.append(("Runs", f"{runs}: every arm of every case on {comparing.seeds} paired seeds; measured on test"))
    rows.append(("Lanes", f"{opened.placement.lanes}"))
    out.print(facts(rows))
    out.print(Text(f"{'Results':<8}  {opened.placement.place_of(opened.placement.folder)}"), soft_wrap=True)


def show_plan(opened: Opened, *, as_json: bool) -> int:
    """Say what it would cost."""
    out = console()
    _introduce(opened, out)
    told = _tell_plan(opened, out)
    out.print(Text("Nothing was run."))
    if as_json:
        print_json({"name": opened.study.name, "plan": told})
    return 0


def _tell_plan(opened: Opened, out: Console) -> dict[str, Any]:
    """Runs and corpus tokens that are due, exact but for which recipe of a grid is chosen; seconds from a few steps here."""
    asked = {request.key: request for request in (*opened.comparing.choosing(), *opened.comparing.comparing())}
    due = [request for request in asked.values() if not opened.study.has_ended(request.key)]
    by_data: dict[Path, list[Request]] = {}
    for request in due:
        if request.data:
            by_data.setdefault(request.data, []).append(request)
    read, flops, seconds, trouble = 0, 0.0, 0.0, ""
    for folder, requests in by_data.items():
        data = Prepared(folder)
        recipes: list[Recipe] = list(dict.fromkeys(request.recipe for request in requests))
        counter, speed = survey(recipes, data, opened.placement.gpus_per_worker, opened.placement.plugins)
        trouble = trouble or speed.trouble
        for request in requests:
            work = counter.work(request.recipe)
            read += tokens(request.recipe, request.seeds, data)
            flops += work.flops
            seconds += work.seconds(speed, sum(len(data.splits[split]) for split in request.splits))
    wall_s = START_S + seconds / opened.placement.lanes if due else 0.0
    out.print(
        facts(
            [
                ("Plan", f"{len(due)} runs, {read:,} corpus tokens, {flops / 1e12:,.2f} TFLOP"),
                ("Time", f"not known: {trouble}" if trouble else f"about {duration(wall_s)} on {opened.placement.lanes} lanes"),
            ]
        )
    )
    return {"runs": len(due), "tokens": read, "flops": flops, "seconds": None if trouble else round(wall_s, 1)}


def _conclude(opened: Opened, status: int, out: Console) -> None:
    study, folder = opened.study, opened.placement.folder
    if status == INTERRUPTED:
        out.print(Text(f"\nInterrupted. Go on with: {_resume(opened)}"), soft_wrap=True)
        return
    for case in (study.verdict or {}).get("cases", ()):
        rows = [
            [arm["label"], figure(arm["mean"], 3), *(figure(arm[limit], 3) for limit in ("low", "high")), str(arm["seeds"])]
            for arm in case["arms"]
        ]
        out.print()
        metric = case["metric"].replace("_", " ")
        out.print(table("arm", f">{metric}, test", ">from", ">to (95 %)", ">seeds", rows=rows, title=case["name"]))
    out.print()
    out.print(Text(str((study.verdict or {}).get("sentence", ""))))
    for row in (study.verdict or {}).get("beside", ()):
        out.print(Text(row["sentence"]), soft_wrap=True)
    out.print(Text(f"\n{'Result':<8}  {folder / written.RESULT}"), soft_wrap=True)
    out.print(Text(f"{'MLflow':<8}  {launcher()} ui{storage_option(opened.placement.place_of(folder.parent))}"), soft_wrap=True)


def _resume(opened: Opened) -> str:
    where = storage_option(opened.placement.place_of(opened.placement.folder.parent))
    return f"{launcher()} study --resume {opened.study.name}{where}"


def _told(opened: Opened, seconds: float) -> dict[str, Any]:
    """The object for scripts."""
    study = opened.study
    states = [run.state for run in study.runs.values()]
    return {
        "name": study.name, "study": study.settings["study"], "runs": {state: states.count(state) for state in set(states)},
        "verdict": study.verdict, "result": str(opened.placement.folder / written.RESULT), "seconds": round(seconds, 1),
        "data": encode(study.data["cases"]),
    }  # fmt: skip
