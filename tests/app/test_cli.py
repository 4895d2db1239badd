"""The command line's own behaviour; each command's is tested beside it."""

import importlib
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylab.app import cli
from raylab.errors import Halted, UserError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], int]], None]:
    """Puts an invented command in the place of `show`."""

    def install(run: Callable[[Any], int]) -> None:
        module = types.ModuleType("raylab.app.show")
        vars(module).update(HELP="an invented command", configure=_configure, run=run)
        monkeypatch.setitem(sys.modules, "raylab.app.show", module)

    return install


def _configure(parser: Any) -> None:
    parser.add_argument("name")
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--scale", choices=("tiny", "small"))


def _raise(error: BaseException) -> Callable[[Any], int]:
    def run(args: Any) -> int:
        raise error

    return run


def test_without_a_command_the_overview_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_keeps_the_contract(name: str) -> None:
    module = importlib.import_module(f"raylab.app.{name}")
    assert cli.COMMANDS[name] == module.HELP
    module.configure(cli.Parser(prog=name))
    assert callable(module.run)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_a_module_of_that_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.util.find_spec(f"raylab.{name}") is not None
    assert cli.main([name, "--help"]) == 0
    assert f"usage: raylab {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("raylab ")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["sarch"], ["unknown command 'sarch'", "Did you mean 'search'?"]),
        (["--hepl"], ["unknown option --hepl", "Did you mean --help?"]),
        (["show", "a", "--trails", "3"], ["unknown option --trails", "Did you mean --trials?"]),
        (["show", "a", "--trails=3"], ["unknown option --trails", "Did you mean --trials?"]),
        (["show", "a", "--trial", "3"], ["unknown option --trial"]),  # no abbreviations: they break when options are added
        (["show", "a", "b"], ["unknown argument b"]),
        (["show"], ["required: name", "raylab show --help"]),
        (["show", "a", "--trials", "many"], ["--trials", "'many'"]),
        (["show", "a", "--scale", "tinny"], ["unknown --scale 'tinny'", "Did you mean 'tiny'?"]),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    argv: list[str], words: list[str], command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    command(lambda args: 0)
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("raylab: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err


def test_a_user_error_of_several_lines_is_still_one(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command(_raise(UserError("a file\n  is broken")))
    assert cli.main(["show", "a"]) == 2
    assert capsys.readouterr().err == "raylab: a file is broken\n"


def test_a_fault_of_the_machine_is_one_line_and_exit_code_1(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command(_raise(Halted("the disk\nis full")))
    assert cli.main(["show", "a"]) == 1
    assert capsys.readouterr().err == "raylab: the disk is full\n"


def test_an_interrupt_exits_with_130(command: Any) -> None:
    command(_raise(KeyboardInterrupt()))
    assert cli.main(["show", "a"]) == 130


def test_the_command_s_own_exit_code_is_kept(command: Any) -> None:
    command(lambda args: 1)
    assert cli.main(["show", "a"]) == 1


def test_a_fault_of_raylab_keeps_its_traceback(command: Any) -> None:
    command(_raise(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["show", "a"])


@pytest.mark.parametrize(("code", "told"), [("import not_installed", True), ("import raylab.not_there", False)])
def test_what_raylab_needs_and_its_python_lacks(command: Any, code: str, told: bool, capsys: pytest.CaptureFixture[str]) -> None:
    own = str(Path(cli.__file__).with_name("show.py"))
    command(lambda args: exec(compile(code, own, "exec")))
    if not told:
        with pytest.raises(ModuleNotFoundError):
            cli.main(["show", "a"])
        return
    assert cli.main(["show", "a"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"raylab: {sys.executable} has no not_installed, which raylab needs.") and err.count("\n") == 1


def test_a_package_that_somebody_else_lacks_keeps_its_traceback(command: Any) -> None:
    command(lambda args: exec(compile("import not_installed", "plugin.py", "exec")))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["show", "a"])


def _process(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *argv], capture_output=True, text=True, check=False, **options)


def test_a_mistake_in_a_real_process() -> None:
    done = _process("raylab.show", "nothing", "--storage", os.devnull)
    assert done.returncode == 2
    assert done.stderr.startswith("raylab: unknown study 'nothing'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["raylab.list", "raylab.bench", "raylab.show"])
def test_a_module_names_itself_in_its_help(module: str) -> None:
    assert _process(module, "--help").stdout.startswith(f"usage: python -m {module} ")


def test_a_reader_that_leaves_is_no_error() -> None:
    """Like `raylab list | head -0`."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "raylab", "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
