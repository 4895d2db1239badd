"""From options to a study that is ready to run. Whatever a person could have got wrong is told here, before compute."""

import argparse
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from raylab.app.data_options import request_from
from raylab.app.earlier import free_name, heritage, parent_of, priors
from raylab.app.environment import cpus_here, environment, gpus_here
from raylab.app.joining import check_room as check_cluster
from raylab.app.preparation import described, load_for, ready, usable
from raylab.app.search_options import DATA, DECIDING, base_of, check_same, continued, fitted, resolve, settings_of, stored
from raylab.app.sources import Sources, Wanted, sources_of
from raylab.app.teaching import taught
from raylab.cluster.connection import Cluster, look
from raylab.cluster.runner import IDLE_AFTER_S, Placement
from raylab.cluster.shipping import pack
from raylab.cluster.tracking import check_tracking, default_uri
from raylab.data.annotation import Annotation
from raylab.data.prepared import Prepared
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.data.source import DataRequest
from raylab.data.task import QUESTION_ANSWERING, TaskData
from raylab.errors import UserError
from raylab.models.build import build, is_encoder_decoder
from raylab.recipe import ModelSpec, encode
from raylab.redaction import without_secrets
from raylab.registry import add_plugins
from raylab.search.compare import differences
from raylab.search.ledger import Study
from raylab.search.lineage import Heritage
from raylab.search.plan import check_room
from raylab.search.prior import Prior
from raylab.search.reading import check_readable
from raylab.search.space import Setting, Space, load_space
from raylab.search.studies import find
from raylab.search.study import Conduct, Settings
from raylab.seeds import Seeds

# By which data are told apart
COUNTED = ("name", "version", "questions", "examples", "corpus", "passages", "tokens", "vocabulary", "sources")
LOCATIONS = ("data_dir", "space_file")  # may have moved since a study began: their contents are what counts
RUNS_ON_A_GPU = 4  # that share one, of which small models leave most idle


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A study ready to run: what it does, on which data, where, and the store that tracks it. cluster: None for this machine.
    taken: the events of earlier studies that a new ledger begins with."""

    conduct: Conduct
    task: TaskData
    placement: Placement
    cluster: Cluster | None
    tracking_uri: str
    parameters: int
    resumed: bool
    taken: tuple[tuple[str, dict[str, Any]], ...] = ()


def open_study(args: argparse.Namespace) -> Opened:
    """The study that the options describe, or the one they resume. Raises UserError; only prepared data are written."""
    cluster = look(args.address) if args.address else None
    for folder in args.plugins:
        add_plugins(folder)
        pack(folder)  # too much to send along is told here
    started, parent = _started(args), parent_of(args)
    options = _options(args, started, parent, (cluster.gpus if cluster else gpus_here()) > 0)
    space = load_space(options["space"], Path(options["space_file"]) if options["space_file"] else None)
    placement = placement_of(args, cluster)
    storage, tracking_uri = stores(args, new=started is None)

    task = load_for(_request(options), options["base"])
    optional = space.learned if options["policies"] is None and task.family == QUESTION_ANSWERING else ()
    options = fitted(options, task.family)
    options["policies"] = [*options["policies"], *optional]
    sources = _sources(options, space, task)
    options["sources"] = list(sources.taken) or None
    settings = settings_of(options, task.name, task.family, sources.names)
    space.check_fixed(settings.setting)
    if inherited := heritage(args, parent, options, space) if parent else None:
        settings = replace(settings, trials=args.more.total(inherited))
        options["trials"] = settings.trials
    data = ready(task, settings.setting.base, storage, _annotations(settings.setting), sources.others)
    if known := started or parent:
        _check_same_data(known, task, data)
    lessons = taught(
        options["policies"], options["policy"], data, settings.seed, storage, optional, known=options.get("learned", {})
    )
    options |= {"policies": list(lessons.policies), "learned": dict(lessons.learned)}
    settings = replace(settings, setting=replace(settings.setting, policies=lessons.policies, learned=lessons.learned))
    name = args.name or (free_name(parent.name, args.storage) if parent else None)
    study = started or _new_study(name, options, settings, space, task, data, command_line(args))
    study.data["notes"] = list(dict.fromkeys([*study.data["notes"], *sources.notes(), *lessons.notes]))
    check_readable(space, settings.setting, Seeds.of(settings.seed, 0), data)
    conduct = Conduct(settings, space, data, study)
    conduct.lessons = tuple(lesson for lesson in lessons.lessons if parent is None or lesson.key not in parent.runs)
    taken = () if started else tuple(_taken(conduct, inherited, priors(options["prior"], args.storage, conduct)))
    parameters = _parameters(settings.setting.base, data)
    check_room(storage, parameters, placement.lanes)
    return Opened(
        conduct=conduct, task=task, placement=replace(placement, folder=storage / study.name),
        cluster=cluster, tracking_uri=tracking_uri, parameters=parameters, resumed=started is not None,
        taken=taken,
    )  # fmt: skip


def _taken(conduct: Conduct, inherited: Heritage | None, found: Sequence[Prior]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a new study begins with, as events of its ledger; the study is brought up to them."""
    study = conduct.study
    if inherited:
        study.parent = inherited.plain()
    events = [*(inherited.events() if inherited else ()), *(("prior", prior.plain()) for prior in found)]
    for event, fields in events:
        study.apply({"event": event, "time": study.updated, **fields})
        yield event, fields


def _started(args: argparse.Namespace) -> Study | None:
    """The study that is gone on with: that of --resume, or with --go-on that of --name if it has begun."""
    try:
        return Study.read(find(args.storage, args.resume or args.name)) if args.resume or args.go_on else None
    except UserError:
        if args.go_on:
            return None
        raise


def _options(args: argparse.Namespace, started: Study | None, parent: Study | None, has_gpu: bool) -> dict[str, Any]:
    """All options that decide results: those given and defaults, those of the study that is resumed, or those given and its
    parent's."""
    given = {name: value for name in DECIDING if (value := getattr(args, name)) is not None}
    if parent is not None:
        return continued(stored(parent.settings), given, args.free)
    if started is None:
        return resolve(given, has_gpu)
    options = stored(started.settings)
    moved = {name: str(given.pop(name).expanduser().resolve()) for name in LOCATIONS if name in given}
    check_same(options, given, started.name)
    return {**options, **moved}


def placement_of(args: argparse.Namespace, cluster: Cluster | None) -> Placement:
    """Lanes that fit on the cluster, or on this machine. The study's folder is not known yet."""
    return _cluster_placement(args, cluster) if cluster else _placement(args)


def _placement(args: argparse.Namespace) -> Placement:
    """Lanes that fit on this machine."""
    gpus = args.gpus_per_worker if args.gpus_per_worker is not None else float(gpus_here() > 0)
    if gpus and not gpus_here():
        raise UserError(
            f"--gpus-per-worker is {gpus:g}, but this machine has no GPU. Leave it out, or give the --address of a cluster."
        )
    fit = int(gpus_here() / gpus) if gpus else cpus_here()
    if args.workers_per_lane * (args.lanes or 1) > fit:
        raise UserError(
            f"--lanes {args.lanes or 1} with --workers-per-lane {args.workers_per_lane} do not fit: this machine has room for "
            f"{fit} workers, one a {'GPU' if gpus else 'core'}. Give fewer of them, or the --address of a cluster."
        )
    return _placed(args, gpus, fit)


def _cluster_placement(args: argparse.Namespace, cluster: Cluster) -> Placement:
    """Lanes that fit on the cluster as it is, or as many as are asked for."""
    gpus = args.gpus_per_worker if args.gpus_per_worker is not None else float(cluster.gpus > 0)
    placement = replace(_placed(args, gpus, cluster.room(gpus)), address=args.address, idle_after_s=IDLE_AFTER_S)
    check_cluster(cluster, placement)
    return placement


def _placed(args: argparse.Namespace, gpus: float, fit: int) -> Placement:
    one = Placement(
        folder=args.storage.here, storage=args.storage, lanes=1, workers_per_lane=args.workers_per_lane, gpus_per_worker=gpus,
        runs_per_lane=args.runs_per_lane or (RUNS_ON_A_GPU if gpus and args.workers_per_lane == 1 else 1),
        plugins=tuple(str(p.resolve()) for p in args.plugins),
        log_level=args.log_level, checkpoint_every_s=args.checkpoint_every, hang_after_s=args.hang_after,
        cache_bytes=args.cache_size,
    )  # fmt: skip
    return replace(one, lanes=args.lanes or max(1, fit // one.fewest_workers))


def stores(args: argparse.Namespace, new: bool) -> tuple[Path, str]:
    """The folder that is worked in and MLflow's address; these and the storage are found to work."""
    storage = usable(args.storage)
    if new and args.name and ((storage.here / args.name).exists() or storage.entries(args.name)):
        raise UserError(f"{storage / args.name} exists. Go on with it by --resume {args.name}, or give another --name.")
    uri = default_uri(storage.here)
    check_tracking(uri, must_answer=new)  # one that goes on may have been lost together with the server, and needs none
    return storage.here, uri


def _request(options: Mapping[str, Any]) -> DataRequest:
    """The data that the options name."""
    wanted = {name: options[name] for name in DATA}
    wanted["data_dir"] = Path(wanted["data_dir"]) if wanted["data_dir"] else None
    return request_from(argparse.Namespace(**wanted))


def _sources(options: Mapping[str, Any], space: Space, task: TaskData) -> Sources:
    """The tasks that the space's recipes may learn before this one. Raises UserError where the space has none."""
    if not space.sources:
        if options["sources"] is not None:
            raise UserError(
                f"--sources: the space {space.name} learns no other tasks first. Leave it out, or search another space."
            )
        return Sources()
    return sources_of(task, _request(options), Wanted.of(options, writes=is_encoder_decoder(base_of(options))))


def _annotations(setting: Setting) -> set[Annotation]:
    """What the policies need to know of a corpus; of a learned one it is computed once it is learned."""
    kinds = [kind for kind, given in map(setting.policy, setting.policies) if not given]
    return {annotation for kind in kinds for annotation in kind().needs()}


def _new_study(
    name: str | None, options: Mapping[str, Any], settings: Settings, space: Space, task: TaskData, data: Prepared, command: str
) -> Study:
    stored = {**options, "setting": encode(settings.setting), "higher_is_better": HIGHER_IS_BETTER[settings.metric]}
    return Study(
        name=name or f"{space.name}-{task.name}-{datetime.now():%Y%m%d-%H%M%S}",
        settings=stored,
        data=described(task, data),
        environment=environment(command),
        created=time.time(),
    )


def command_line(args: argparse.Namespace) -> str:
    """The command line, whichever way it was called: `raylab search` or `python -m raylab.search`."""
    return shlex.join(["raylab", args.command, *map(without_secrets, args.argv)])


def _check_same_data(study: Study, task: TaskData, data: Prepared) -> None:
    """Raise UserError if these are not the data that the study ran on, with what changed of them."""
    known = study.data["fingerprint"]
    if known == data.fingerprint:
        return
    before, now = ({name: told.get(name) for name in COUNTED} for told in (study.data, described(task, data)))
    told = "; ".join(f"{d.field.replace('.', ' ')} were {d.left}, now {d.right}" for d in differences(before, now))
    raise UserError(
        f"the data of {study.name} ({study.data['source']}) have changed since it was started: "
        f"{told or 'as many examples and passages as before, but not the same text'}; their fingerprint was {known}, now "
        f"{data.fingerprint}. Bring the old ones back, or start a new study on these."
    )


def _parameters(base: ModelSpec, data: Prepared) -> int:
    return sum(p.numel() for p in build(base, data.tokenizer, 0).parameters())
