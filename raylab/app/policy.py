"""`raylab policy`: the masking policies there are, and what one of them hides in a text, in colour."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from raylab.app.console import console, table
from raylab.data import atlas
from raylab.data.tokenizer import load_tokenizer, train_bpe
from raylab.errors import UserError, unknown
from raylab.masking.policy import Policy
from raylab.masking.preview import Piece, preview
from raylab.masking.schedule import RatedPolicy
from raylab.recipe import decode, knobs

HELP = "list the masking policies, or show what one hides"

_VOCABULARY = 4000  # of the tokenizer made for a preview where none is named


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show")
    actions.add_parser("list", help="the policies there are, with their knobs")
    show = actions.add_parser("show", help="draw a policy a few times over a text")
    show.add_argument("name", metavar="NAME", help="a policy, as `raylab policy list` names it")
    show.add_argument(
        "--text", action="append", metavar="TEXT", help="the text to hide parts of (default: the longest passage of the atlas)"
    )
    show.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of the policy, e.g. rate=0.3"
    )
    show.add_argument("--draws", type=int, default=3, metavar="N", help="how many times to draw (default: 3)")
    show.add_argument("--seed", type=int, default=0, metavar="S", help="the first draw's seed (default: 0)")
    show.add_argument("--tokenizer", metavar="NAME_OR_PATH", help="a pretrained tokenizer (default: made from the atlas)")


def run(args: argparse.Namespace) -> int:
    """Carry out the action; 0, or UserError."""
    if args.action == "list":
        _list()
    else:
        _show(args)
    return 0


def _list() -> None:
    policies = {name: Policy.registry.get(name) for name in Policy.registry.names()}
    rows = [[name, _knobs(policy), _told(policy)] for name, policy in policies.items()]
    console().print(table("policy", "knobs", "what it hides", rows=rows))


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
    policy = decode(Policy, {"name": args.name, **_fields(args.name, args.set)}, where=args.name)
    corpus = [passage.text for passage in atlas.load().corpus]
    texts = args.text or [max(corpus, key=len)]
    tokenizer = load_tokenizer(args.tokenizer) if args.tokenizer else train_bpe([*corpus, *texts], _VOCABULARY)
    out = console()
    out.print(Text(f"{args.name}: {_told(type(policy))}", style="bold"))
    for seed in range(args.seed, args.seed + args.draws):
        for pieces in preview(policy, texts, tokenizer, seed, context=corpus):
            out.print(coloured(pieces), soft_wrap=True)


def coloured(pieces: Sequence[Piece]) -> Text:
    """A text with its hidden pieces in colour, and in brackets, so that they can be told without colour, too."""
    text = Text()
    for piece, hidden in pieces:
        text.append(f"[{piece}]" if hidden else piece, style="bold white on dark_red" if hidden else "")
    return text


def _fields(policy: str, settings: Sequence[str]) -> dict[str, Any]:
    """The fields that `--set FIELD=VALUE` sets. Values are JSON, or text where they are none."""
    known = [field.name for field in dataclasses.fields(Policy.registry.get(policy))]
    fields = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting!r} is not of the form FIELD=VALUE, e.g. --set rate=0.3.")
        if name not in known:
            raise unknown(f"field of {policy}", name, known)
        fields[name] = _value(value)
    return fields


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
