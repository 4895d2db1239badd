"""`raylab policy learn`: a masking policy learned in this process, with progress, and kept as a product."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from raylab.app.console import console
from raylab.app.data_options import request_from
from raylab.app.preparation import load_prepared, usable
from raylab.app.settings import fields_set
from raylab.app.steps import Teller
from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.learned.card import identity, load
from raylab.masking.learned.product import Learner, learned, learner
from raylab.recipe import ModelSpec, decode


def learn(args: argparse.Namespace) -> Path:
    """Learn the policy that the options describe, or find it; its folder. Raises UserError before any compute."""
    import torch

    if args.threads < 1:
        raise UserError(f"--threads is {args.threads}; expected 1 or more.")
    if args.to and args.to.exists():
        raise UserError(f"--to {args.to} exists; give a new folder.")
    kind = learner(args.how)
    fields = fields_set(args.set, kind, f"{args.how} masking", "width=128")
    given: dict[str, Any] = {}
    if args.start:
        if "start" not in {field.name for field in dataclasses.fields(kind)}:
            raise UserError(f"--start is for `raylab policy learn meta`; {args.how} masking begins anew.")
        fields["start"], given["start"] = identity(args.start), load(args.start)
    how = decode(kind, fields, where=args.how)
    storage = usable(args.storage)
    torch.set_num_threads(args.threads)
    task, data = load_prepared(request_from(args), ModelSpec(scale=args.scale, pretrained=args.base), storage.here)
    for warning in task.warnings:
        console().print(f"Warning: {warning}", style="yellow")
    if args.start:
        extractor, card = given["start"]
        card.check_tokenizer(data.tokenizer, "these data's")
        given["start"] = extractor.requires_grad_(True)
    console().print(f"Learning {args.how} masking from {task.name}: {len(data.corpus):,} passages, seed {args.seed}")
    return learned_told(how, data, args.seed, storage.here, **given)


def learned_told(how: Learner, data: Prepared, seed: int, storage: Path, **given: Any) -> Path:
    """A policy's folder, learned if it is not there; says every few seconds how far it is."""
    steps, teller = learned(how, data, seed, storage, **given), Teller()
    while True:
        try:
            teller(next(steps))
        except StopIteration as end:
            return Path(end.value)
