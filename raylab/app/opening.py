"""From options to a study that is ready to run. Whatever a person could have got wrong is told here, before compute."""

import argparse
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from raylab.app.data_options import request_from
from raylab.app.environment import cpus_here, environment, gpus_here
from raylab.app.preparation import described, load_prepared, writable
from raylab.app.search_options import DATA, DECIDING, check_same, resolve, settings_of, stored
from raylab.cluster.runner import Placement
from raylab.cluster.tracking import check_tracking, default_uri
from raylab.data.prepared import Prepared
from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.data.task import TaskData
from raylab.errors import UserError
from raylab.masking.policy import Policy
from raylab.models.encoder_decoder import build
from raylab.recipe import ModelSpec, encode
from raylab.registry import add_plugins
from raylab.search.ledger import Study
from raylab.search.plan import check_room
from raylab.search.space import Space, load_space
from raylab.search.studies import find
from raylab.search.study import Conduct, Settings


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
    started = Study.read(find(args.storage, args.resume)) if args.resume else None
    options = _options(args, started)
    space = load_space(options["space"], Path(options["space_file"]) if options["space_file"] else None)
    space.check_fixed(settings_of(options, "").setting)
    placement = _placement(args)
    storage, tracking_uri = _stores(args)

    task, data = _load(options, storage)
    settings = settings_of(options, task.name)
    study = started or _new_study(args.name, options, settings, space, task, data)
    _check_same_data(study, data)
    parameters = _parameters(settings.setting.base, data)
    check_room(storage, parameters, placement.lanes)
    return Opened(
        conduct=Conduct(settings, space, data, study), task=task, placement=replace(placement, folder=storage / study.name),
        tracking_uri=tracking_uri, parameters=parameters, resumed=started is not None,
    )  # fmt: skip


def _options(args: argparse.Namespace, started: Study | None) -> dict[str, Any]:
    """All options that decide results: those given and defaults, or those of the study that is resumed."""
    given = {name: value for name in DECIDING if (value := getattr(args, name)) is not None}
    if started is None:
        return resolve(given, gpus_here() > 0)
    options = stored(started.settings)
    check_same(options, given, started.name)
    return options


def _placement(args: argparse.Namespace) -> Placement:
    """Lanes that fit on this machine, or on the cluster at --address. The study's folder is not known yet."""
    gpus = args.gpus_per_worker if args.gpus_per_worker is not None else float(gpus_here() > 0)
    if gpus and not gpus_here() and not args.address:
        raise UserError(
            f"--gpus-per-worker is {gpus:g}, but this machine has no GPU. Leave it out, or give the --address of a cluster."
        )
    fit = int(gpus_here() / gpus) if gpus and not args.address else cpus_here()
    if not args.address and args.workers_per_lane * (args.lanes or 1) > fit:
        raise UserError(
            f"--lanes {args.lanes or 1} with --workers-per-lane {args.workers_per_lane} do not fit: this machine has room for "
            f"{fit} workers, one a {'GPU' if gpus else 'core'}. Give fewer of them, or the --address of a cluster."
        )
    return Placement(
        folder=args.storage, lanes=args.lanes or max(1, fit // args.workers_per_lane), workers_per_lane=args.workers_per_lane,
        gpus_per_worker=gpus, address=args.address, plugins=tuple(str(p.resolve()) for p in args.plugins),
        log_level=args.log_level, checkpoint_every_s=args.checkpoint_every, hang_after_s=args.hang_after,
    )  # fmt: skip


def _stores(args: argparse.Namespace) -> tuple[Path, str]:
    """The results folder and MLflow's address, both found to work."""
    storage = writable(args.storage.expanduser().resolve())
    if args.name and (storage / args.name).exists():
        raise UserError(f"{storage / args.name} exists. Go on with it by --resume {args.name}, or give another --name.")
    uri = default_uri(storage)
    check_tracking(uri)
    return storage, uri


def _load(options: Mapping[str, Any], storage: Path) -> tuple[TaskData, Prepared]:
    """The data, with the annotations of all policies that are searched."""
    base = settings_of(options, "").setting.base
    annotations = {a for policy in options["policies"] for a in Policy.registry.get(policy)().needs()}
    wanted = {name: options[name] for name in DATA}
    wanted["data_dir"] = Path(wanted["data_dir"]) if wanted["data_dir"] else None
    return load_prepared(request_from(argparse.Namespace(**wanted)), base, storage, annotations)


def _new_study(
    name: str | None, options: Mapping[str, Any], settings: Settings, space: Space, task: TaskData, data: Prepared
) -> Study:
    stored = {**options, "setting": encode(settings.setting), "higher_is_better": HIGHER_IS_BETTER[settings.metric]}
    return Study(
        name=name or f"{space.name}-{task.name}-{datetime.now():%Y%m%d-%H%M%S}",
        settings=stored,
        data=described(task, data),
        environment=environment(_command()),
        created=time.time(),
    )


def _command() -> str:
    """The command line, whichever way it was called: `raylab search` or `python -m raylab.search`."""
    arguments = sys.argv[2:] if sys.argv[1:2] == ["search"] else sys.argv[1:]
    return shlex.join(["raylab", "search", *arguments])


def _check_same_data(study: Study, data: Prepared) -> None:
    known = study.data["fingerprint"]
    if known != data.fingerprint:
        raise UserError(
            f"the data of {study.name} ({study.data['source']}) have changed since it was started: their fingerprint was "
            f"{known}, now {data.fingerprint}. Bring the old ones back, or start a new study on these."
        )


def _parameters(base: ModelSpec, data: Prepared) -> int:
    return sum(p.numel() for p in build(base, data.tokenizer, 0).parameters())
