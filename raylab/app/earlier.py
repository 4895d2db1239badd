"""What a study takes from earlier ones: the runs of the study that it continues, and what others found best."""

import argparse
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raylab.app.search_options import settings_of, stored
from raylab.data.corpus import TEXTS
from raylab.data.task import QUESTION_ANSWERING
from raylab.errors import UserError
from raylab.search.ledger import Study
from raylab.search.lineage import Earlier, Heritage, inherit
from raylab.search.prior import Prior, best_choices, shared_out, similarity, words_of
from raylab.search.space import Space, load_space
from raylab.search.studies import find
from raylab.search.study import Conduct, Settings
from raylab.storage import Storage


def parent_of(args: argparse.Namespace) -> Study | None:
    """The study that is continued, if one is."""
    return Study.read(find(args.storage, args.parent)) if args.parent else None


def heritage(args: argparse.Namespace, parent: Study, options: Mapping[str, Any], space: Space) -> Heritage:
    """What a study with these options takes over of its parent. Raises UserError if there is nothing, or nothing to add."""
    found = inherit(earlier(parent), space, _settings(options, parent).setting, retry_failed=args.retry_failed)
    if args.retry_failed and not (found.due or args.more.number):
        raise UserError(f"--retry-failed: no trial of {parent.name} has failed. Ask for more of them with --trials +20.")
    return found


def priors(names: Sequence[str], storage: Storage, conduct: Conduct) -> list[Prior]:
    """What the named studies give a new one to try first. Raises UserError for one that has nothing to give."""
    space, setting = conduct.space, conduct.settings.setting
    ours, found = words_of((conduct.data.folder / TEXTS).read_bytes()) if names else Counter[str](), list[Prior]()
    for name in names:
        study = Study.read(find(storage, name))
        choices = best_choices(earlier(study), space, setting)
        if not choices:
            raise UserError(f"--prior {name}: none of its trials finished with choices that this space has. Leave it out.")
        found.append(Prior(study=name, similarity=_similarity(study, storage, conduct.data.fingerprint, ours), choices=choices))
    return shared_out(found, conduct.settings.trials)


def _similarity(study: Study, storage: Storage, fingerprint: str, ours: Counter[str]) -> float | None:
    """Of the data of an earlier study; None if they are gone."""
    known = study.data["fingerprint"]
    if known == fingerprint:
        return 1.0
    place = storage / "data" / known
    texts = (place.here / TEXTS).read_bytes() if (place.here / TEXTS).is_file() else place.read(TEXTS)
    return None if texts is None else similarity(ours, words_of(texts))


def earlier(study: Study) -> Earlier:
    """A study with its space, as far as that can be found."""
    options = stored(study.settings)
    try:
        space = load_space(options["space"], Path(options["space_file"]) if options["space_file"] else None)
    except UserError:  # its file is gone
        space = None
    return Earlier(study=study, space=space, setting=_settings(options, study).setting)


def _settings(options: Mapping[str, Any], study: Study) -> Settings:
    """The settings that these options make on the data of a study."""
    names = study.settings.get("setting", {}).get("sources", ())
    return settings_of(options, study.data["name"], study.data.get("family", QUESTION_ANSWERING), names)


def free_name(parent: str, storage: Storage) -> str:
    """A name for a study that continues another: "base-2" after "base", "base-3" after that."""
    stem, _, number = parent.rpartition("-")
    if not (stem and re.fullmatch(r"[1-9]\d?", number)):
        stem, number = parent, "1"
    taken = {entry.name for entry in storage.entries()} | {path.name for path in storage.here.glob("*")}
    return next(name for n in itertools.count(int(number) + 1) if (name := f"{stem}-{n}") not in taken)
