"""Every raylab command line in deploy/ is one that raylab takes."""

import importlib
from pathlib import Path

import pytest

from raylab.app.cli import COMMANDS, Parser
from raylab.app.parcel import Parcel
from raylab.errors import UserError
from tests.deploy.manifests import DEPLOY, KUBERNETES, commands, documents

FILES = sorted(path for path in DEPLOY.rglob("*") if path.suffix in (".md", ".yaml"))


def parse(command: list[str]) -> None:
    module = importlib.import_module(f"raylab.app.{command[0]}")
    parser = Parser(prog=f"raylab {command[0]}")
    module.configure(parser)
    args = parser.parse_args(command[1:])
    if command[0] == "submit" and not args.follow:
        Parcel.of(args.arguments)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_commands_are_taken(path: Path) -> None:
    for command in commands(path.read_text(encoding="utf-8")):
        assert command[0] in COMMANDS
        parse(command)


def test_the_search_is_one_command() -> None:
    (job,) = documents(KUBERNETES / "search.yaml")
    (command,) = commands(job["spec"]["entrypoint"])
    parse(command)
    assert command[:2] == ["search", "masking"]
    assert {"--address", "--yes", "--storage", "--gpus-per-worker", "--lanes"} <= set(command)


def test_a_typo_would_be_found() -> None:
    for command in ("raylab search masking --lane 4", "raylab submit search masking --storage s3://b --lane 4"):
        with pytest.raises(UserError, match="Did you mean --lanes"):
            parse(commands(command)[0])


def test_commands_are_found_where_they_stand() -> None:
    text = "x `raylab show a --storage /b` and\nray exec f.yaml 'raylab doctor --address auto'\n-- python -m raylab.list  # all"
    assert commands(text) == [["show", "a", "--storage", "/b"], ["doctor", "--address", "auto"], ["list"]]
