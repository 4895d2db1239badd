"""`raylab policy`: the masking policies there are, what one of them hides in a text, and policies that are learned."""

import argparse
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from raylab.app.base_option import add_base_argument
from raylab.app.console import console, print_json, table
from raylab.app.data_options import add_data_arguments
from raylab.app.settings import fields_set
from raylab.app.storage import add_storage_argument
from raylab.data import atlas
from raylab.data.tokenizer import load_tokenizer, train_bpe
from raylab.errors import UserError, unknown
from raylab.masking.learned.card import DESCRIPTION, Card, load, read, tokenizer_of
from raylab.masking.learned.product import PRODUCTS, cards
from raylab.masking.policies.learned import LEARNERS, Learned
from raylab.masking.policy import Policy
from raylab.masking.preview import Piece, preview
from raylab.masking.schedule import RatedPolicy
from raylab.models.sizes import SIZES
from raylab.recipe import decode, knobs
from raylab.storage import Storage

HELP = "list the masking policies, show what one hides, learn one"

_VOCABULARY = 4000  # of the tokenizer made for a preview where none is named


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|learn|export")
    listed = actions.add_parser("list", help="the policies there are, with their knobs, and those that were learned")
    add_storage_argument(listed, "where learned policies lie")
    _configure_show(actions.add_parser("show", help="draw a policy a few times over a text"))
    _configure_learn(actions.add_parser("learn", help="learn a policy from a dataset's train questions and a corpus"))
    export = actions.add_parser("export", help="copy a learned policy's card into a folder of its own")
    export.add_argument("name", metavar="KEY_OR_PATH", help="a learned policy, as `raylab policy list` names it")
    export.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write; it must not exist")
    add_storage_argument(export, "where learned policies lie")


def _configure_show(show: argparse.ArgumentParser) -> None:
    show.add_argument(
        "name", metavar="NAME_OR_PATH", help="a policy, as `raylab policy list` names it, or a policy card's folder"
    )
    show.add_argument(
        "--text", action="append", metavar="TEXT", help="the text to hide parts of (default: the longest passage of the atlas)"
    )
    show.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of the policy, e.g. rate=0.3"
    )
    show.add_argument("--draws", type=int, default=3, metavar="N", help="how many times to draw (default: 3)")
    show.add_argument("--seed", type=int, default=0, metavar="S", help="the first draw's seed (default: 0)")
    show.add_argument("--tokenizer", metavar="NAME_OR_PATH", help="a pretrained tokenizer (default: made from the atlas)")
    add_storage_argument(show, "where learned policies lie")


def _configure_learn(learn: argparse.ArgumentParser) -> None:
    learn.add_argument("how", choices=LEARNERS, metavar="|".join(LEARNERS), help="by direct supervision, or by meta-learning")
    learn.add_argument(
        "--scale", choices=tuple(SIZES), default="tiny", help="of the model it is for: its tokenizer (default: tiny)"
    )
    add_base_argument(learn, "a pretrained model that it is for: its tokenizer")
    learn.add_argument("--start", type=Path, metavar="CARD", help="meta: the policy to begin from (default: a uniform one)")
    learn.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of how it is learned, e.g. width=128"
    )
    learn.add_argument("--seed", type=int, default=0, metavar="S", help="as a search's: it finds what was learned (default: 0)")
    learn.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    learn.add_argument("--to", type=Path, metavar="DIR", help="copy the policy card there")
    learn.add_argument("--json", action="store_true", help="make the last line of standard output one JSON object")
    add_storage_argument(learn, "where prepared data and learned policies lie")
    add_data_arguments(learn)


def run(args: argparse.Namespace) -> int:
    """Carry out the action; 0, or UserError."""
    if args.action == "list":
        _list(args.storage)
    elif args.action == "show":
        _show(args)
    elif args.action == "learn":
        _learn(args)
    else:
        _export(card_folder(args.name, args.storage), args.to)
    return 0


def _list(storage: Storage) -> None:
    policies = {name: Policy.registry.get(name) for name in Policy.registry.names()}
    rows = [[name, _knobs(policy), _told(policy)] for name, policy in policies.items()]
    console().print(table("policy", "knobs", "what it hides", rows=rows))
    if found := {folder: read(folder) for folder in cards(storage.here)}:
        learned = [
            [folder.name, card.how, str(card.learned_on.get("task", "")), _figure(card, "dev recall at 5"), _cost(card)]
            for folder, card in found.items()
        ]
        console().print()
        console().print(table("learned", "how", "from", ">dev recall at 5", ">cost", rows=learned))


def _figure(card: Card, measure: str) -> str:
    found = card.evidence.get(measure)
    return f"{found['value']:.2f}" if found else ""


def _cost(card: Card) -> str:
    return f"{card.cost.get('tokens', 0):,.0f} tokens, {card.cost.get('seconds', 0):,.0f} s"


def _told(policy: type) -> str:
    """The first sentence of a policy's docstring."""
    return " ".join((policy.__doc__ or "").split("\n\n")[0].split())


def _knobs(policy: type) -> str:
    defaults = {field.name: field.default for field in dataclasses.fields(policy)}
    listed = ", ".join(f"{name}={defaults[name]}" for name in knobs(policy))
    return f"{listed}, schedule" if issubclass(policy, RatedPolicy) else listed


def _show(args: argparse.Namespace) -> None:
    if args.draws < 1:
        raise UserError(f"--draws is {args.draws}; expected at least 1.")
    policy, tokenizer, title = _policy_and_tokenizer(args)
    corpus = [passage.text for passage in atlas.load().corpus]
    texts = args.text or [max(corpus, key=len)]
    tokenizer = tokenizer or train_bpe([*corpus, *texts], _VOCABULARY)
    out = console()
    out.print(Text(title, style="bold"))
    for seed in range(args.seed, args.seed + args.draws):
        for pieces in preview(policy, texts, tokenizer, seed, context=corpus):
            out.print(coloured(pieces), soft_wrap=True)


def _policy_and_tokenizer(args: argparse.Namespace) -> tuple[Policy, Any, str]:
    """The policy that is shown, the tokenizer that it needs, if any, and what to say of it."""
    named = load_tokenizer(args.tokenizer) if args.tokenizer else None
    if args.name in Policy.registry.names():
        policy: Policy = decode(Policy, {"name": args.name, **_fields(args, args.name)}, where=args.name)
        return policy, named, f"{args.name}: {_told(type(policy))}"
    folder = card_folder(args.name, args.storage)
    _, card = load(folder)
    tokenizer = named or tokenizer_of(folder)
    card.check_tokenizer(tokenizer, "--tokenizer")
    policy = decode(Policy, {"name": "learned", "path": str(folder), **_fields(args, "learned")}, where="learned")
    return policy, tokenizer, f"{card.name}, learned from {card.learned_on.get('task', 'another task')}: {_told(Learned)}"


def card_folder(name: str, storage: Storage) -> Path:
    """The folder of a learned policy, by path or by its key in the storage. Raises UserError with what there is."""
    for folder in (Path(name).expanduser(), storage.here / PRODUCTS / name):
        if (folder / DESCRIPTION).is_file():
            return folder
    if Path(name).expanduser().is_dir():
        read(Path(name).expanduser())  # which says what is wrong with it
    raise unknown("policy", name, [*Policy.registry.names(), *(folder.name for folder in cards(storage.here))])


def _learn(args: argparse.Namespace) -> None:
    from raylab.app.learning import learn  # torch: only once the command line stands

    folder = learn(args)
    card = read(folder)
    rows = [[name, f"{found['value']:.3f}", _interval(found)] for name, found in card.evidence.items() if "value" in found]
    console().print(table("on held-out passages", ">share", "95 % interval", rows=rows))
    console().print(f"Cost    {_cost(card)}, {card.cost.get('flops', 0) / 1e12:,.2f} TFLOP")
    if args.to:
        _export(folder, args.to)
    console().print(f"Policy  {args.to or folder}", soft_wrap=True)
    console().print(f"Search  raylab search masking --policy {args.to or folder}", soft_wrap=True)
    if args.json:
        print_json({"key": folder.name, "path": str(args.to or folder), "cost": dict(card.cost), "evidence": dict(card.evidence)})


def _interval(found: dict[str, float]) -> str:
    return f"{found['low']:.3f} to {found['high']:.3f}" if "low" in found else ""


def _export(folder: Path, to: Path) -> None:
    load(folder)  # a damaged card is told, and not copied
    try:
        shutil.copytree(folder, to)
    except FileExistsError as error:
        raise UserError(f"--to {to} exists; give a new folder.") from error
    except OSError as error:
        raise UserError(
            f"--to {to} cannot be written ({error.strerror or error}); give a folder with room and rights."
        ) from error
    console().print(f"Copied {folder.name} to {to}", soft_wrap=True)


def coloured(pieces: Sequence[Piece]) -> Text:
    """A text with its hidden pieces in colour, and in brackets, so that they can be told without colour, too."""
    text = Text()
    for piece, hidden in pieces:
        text.append(f"[{piece}]" if hidden else piece, style="bold white on dark_red" if hidden else "")
    return text


def _fields(args: argparse.Namespace, policy: str) -> dict[str, Any]:
    return fields_set(args.set, Policy.registry.get(policy), policy, "rate=0.3")
