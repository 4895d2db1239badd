"""From options to a study that is ready to run. Whatever a person could have got wrong is told here, before compute."""

import argparse
import shlex
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from raylab.app.data_options import request_from
from raylab.app.environment import cpus_here, environment, gpus_here
from raylab.app.preparation import described, load_prepared, writable
from raylab.app.search_options import DATA, DECIDING, check_same, resolve, settings_of
from raylab.cluster.runner import Placement
from raylab.cluster.tracking import check_tracking, default_uri
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.data.task import TaskData
from raylab.errors import UserError
from raylab.masking.policy import Policy
from raylab.models.encoder_decoder import build
from raylab.recipe import encode
from raylab.registry import add_plugins
from raylab.search.ledger import Study
from raylab.search.plan import check_room
from raylab.search.space import load_space
from raylab.search.studies import find
from raylab.search.study import Conduct


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A study ready to run: what it does, on which data, where, and the store that tracks it."""

    conduct: Conduct
    task: TaskData
    placement: Placement
    tracking_uri: str
    parameters: int
    resumed: bool


def open_study(args: argparse.Namespace) -> Opened:
    """The study that the options describe, or the one they resume. Raises UserError; only prepared data are written."""
    for folder in args.plugins:
        add_plugins(folder)
    given = {name: value for name in DECIDING if (value := getattr(args, name)) is not None}
    started = Study.read(find(args.storage, args.resume)) if args.resume else None
    options = _stored(started, given) if started else resolve(given, gpus_here() > 0)
    space = load_space(options["space"], Path(options["space_file"]) if options["space_file"] else None)
    space.check_fixed(settings_of(options, "").setting)
    storage = writable(args.storage.expanduser().resolve())
    name = started.name if started else args.name
    if name and not started and (storage / name).exists():
        raise UserError(f"{storage / name} exists. Go on with it by --resume {name}, or give another --name.")
    uri = default_uri(storage)
    check_tracking(uri)

    base = settings_of(options, "").setting.base
    annotations = {a for policy in options["policies"] for a in Policy.registry.get(policy)().needs()}
    task, data = load_prepared(request_from(argparse.Namespace(**{k: _typed(k, options[k]) for k in DATA})), base, storage, annotations)
    settings = settings_of(options, task.name)
    stored = {**options, "setting": encode(settings.setting), "higher_is_better": HIGHER_IS_BETTER[settings.metric]}
    study = started or Study(
        name=name or f"{space.name}-{task.name}-{datetime.now():%Y%m%d-%H%M%S}", settings=stored,
        data=described(task, data), environment=environment(shlex.join(["raylab", "search", *sys.argv[1:]])), created=time.time(),
    )  # fmt: skip
    if study.data["fingerprint"] != data.fingerprint:
        raise UserError(f"the data of {study.name} have changed since it was started ({study.data['source']}). Start a new study on them.")
    placement = _placement(args, storage / study.name)
    parameters = sum(p.numel() for p in build(base, data.tokenizer, 0).parameters())
    check_room(storage, parameters, placement.lanes)
    return Opened(
        conduct=Conduct(settings, space, data, study), task=task, placement=placement, tracking_uri=uri,
        parameters=parameters, resumed=started is not None,
    )  # fmt: skip


def _stored(started: Study, given: dict[str, Any]) -> dict[str, Any]:
    check_same(started.settings, given, started.name)
    return {name: started.settings[name] for name in DECIDING}


def _typed(name: str, value: Any) -> Any:
    return Path(value) if name == "data_dir" and value else value


def _placement(args: argparse.Namespace, folder: Path) -> Placement:
    gpus = args.gpus_per_worker if args.gpus_per_worker is not None else float(gpus_here() > 0)
    if gpus and not gpus_here() and not args.address:
        raise UserError(f"--gpus-per-worker is {gpus:g}, but this machine has no GPU. Leave it out, or give the --address of a cluster.")
    fit = int(gpus_here() / gpus) if gpus and not args.address else cpus_here()
    if not args.address and args.workers_per_lane * (args.lanes or 1) > max(fit, 1):
        kind = "GPU" if gpus else "core"
        raise UserError(
            f"{args.lanes or 1} lanes of {args.workers_per_lane} workers do not fit: this machine has room for {fit} "
            f"workers ({kind}s). Give fewer --lanes or --workers-per-lane, or the --address of a cluster."
        )
    return Placement(
        folder=folder, lanes=args.lanes or max(1, fit // args.workers_per_lane), workers_per_lane=args.workers_per_lane,
        gpus_per_worker=gpus, address=args.address, plugins=tuple(str(p.resolve()) for p in args.plugins), log_level=args.log_level,
    )  # fmt: skip
