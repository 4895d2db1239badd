"""`raylab export`: a study's winner as a folder that `from_pretrained` loads, with all that is needed to make it again."""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from raylab.app.console import console, print_json
from raylab.app.storage import add_storage_argument
from raylab.errors import UserError
from raylab.search.card import command, model_card, scores, winner_runs
from raylab.search.ledger import Run, Study
from raylab.search.studies import find
from raylab.search.upkeep import WHOLE, WINNER

HEADS = "heads.safetensors"  # raylab.models.headed's, which takes torch to import; a test holds them equal
HELP = "write a study's winner as a Hugging Face model folder"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the study")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write; it must be new or empty")
    add_storage_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def run(args: argparse.Namespace) -> int:
    folder = find(args.storage, args.name)
    study = Study.read(folder)
    (args.storage / args.name).fetch(WINNER, last=WHOLE)
    best = _winner(study, folder)
    _check_target(args.to)
    try:
        shutil.copytree(folder / WINNER, args.to, dirs_exist_ok=True)
        _write_beside(args.to, study, best)
    except OSError as error:
        raise UserError(
            f"--to {args.to} cannot be written ({error.strerror or error}); give a folder with room and rights."
        ) from error
    _tell(args, study, best)
    return 0


def _winner(study: Study, folder: Path) -> Run:
    runs = winner_runs(study)
    if not runs:
        raise UserError(
            f"study {study.name!r} has no winner: its verdict has not been run. Finish it with --resume {study.name}."
        )
    if not (folder / WINNER / WHOLE).is_file():
        raise UserError(f"study {study.name!r} has no model in {folder / WINNER}: it was moved or deleted. Run its recipe again.")
    return runs[0]


def _check_target(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"--to {target} is a file; give a folder that is new or empty.")
    if target.is_dir() and any(target.iterdir()):
        raise UserError(f"--to {target} is not empty; give a folder that is new or empty.")


def _write_beside(target: Path, study: Study, best: Run) -> None:
    _write_json(target / "recipe.json", best.recipe)
    _write_json(target / "data.json", study.data)
    _write_json(target / "scores.json", scores(study))
    (target / "README.md").write_text(model_card(study, best, (target / HEADS).is_file()), encoding="utf-8")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _tell(args: argparse.Namespace, study: Study, best: Run) -> None:
    if args.json:
        print_json({"name": study.name, "to": str(args.to), "key": best.key, "command": command(study, best)})
    else:
        console().print(f"Wrote {args.to}. To make it again: {command(study, best)}", markup=False, soft_wrap=True)
