"""What a study takes from earlier ones: the runs of the study that it continues."""

import argparse
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylab.app.search_options import settings_of, stored
from raylab.errors import UserError
from raylab.search.ledger import Study
from raylab.search.lineage import Earlier, Heritage, inherit
from raylab.search.space import Space, load_space
from raylab.search.studies import find
from raylab.storage import Storage


def parent_of(args: argparse.Namespace) -> Study | None:
    """The study that is continued, if one is."""
    return Study.read(find(args.storage, args.parent)) if args.parent else None


def heritage(args: argparse.Namespace, parent: Study, options: Mapping[str, Any], space: Space) -> Heritage:
    """What a study with these options takes over of its parent. Raises UserError if there is nothing, or nothing to add."""
    found = inherit(earlier(parent), space, settings_of(options, parent.data["name"]).setting, retry_failed=args.retry_failed)
    if args.retry_failed and not (found.due or args.more.number):
        raise UserError(f"--retry-failed: no trial of {parent.name} has failed. Ask for more of them with --trials +20.")
    return found


def earlier(study: Study) -> Earlier:
    """A study with its space, as far as that can be found."""
    options = stored(study.settings)
    try:
        space = load_space(options["space"], Path(options["space_file"]) if options["space_file"] else None)
    except UserError:  # its file is gone
        space = None
    return Earlier(study=study, space=space, setting=settings_of(options, study.data["name"]).setting)


def free_name(parent: str, storage: Storage) -> str:
    """A name for a study that continues another: "base-2" after "base", "base-3" after that."""
    stem, _, number = parent.rpartition("-")
    if not (stem and re.fullmatch(r"[1-9]\d?", number)):
        stem, number = parent, "1"
    taken = {entry.name for entry in storage.entries()} | {path.name for path in storage.here.glob("*")}
    return next(name for n in itertools.count(int(number) + 1) if (name := f"{stem}-{n}") not in taken)
