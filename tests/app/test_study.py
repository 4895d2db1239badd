"""`raylab study`: what it lists, refuses, plans, runs and writes."""

import json
from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.app.comparison import of_kinds
from raylab.errors import UserError
from raylab.search.comparison.declared import comparison_names
from raylab.search.ledger import Study
from tests import tiny

SMALL = '''"""Does reading help?

After nobody."""
from raylab.masking.policies.uniform import Uniform
from raylab.search.comparison.declared import Case

REFERENCE = "none"
SEEDS = 2

def cases(asked):
    return [Case(name="atlas", data=asked.data("atlas")), Case(name="fewer", data=asked.data("atlas"), kinds=("capital",))]

def arms(at):
    return {"none": at.recipe(), "uniform": at.masked(Uniform())}
'''
ARGUMENTS = ("--set", "budget_tokens=2000", "--set", "finetune_steps=2", "--lanes", "1")


def _mistake(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["study", *argv]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A study of seconds."""
    path = tmp_path / "reading.py"
    path.write_text(SMALL)
    return str(path)


def test_without_a_name_the_studies_are_listed_with_their_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in comparison_names())
    assert "Which tokens should intermediate pretraining hide" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("polices",), "Did you mean 'policies'?"),
        (("policies", "--resume", "mine"), "leave out which study"),
        (("policies", "--address", "ray://head:10001"), "does not go through ray://"),
        (("policies", "--lanes", "0"), "--lanes is 0"),
        (("--study-file", "nowhere.py"), "is no file"),
    ],
)
def test_a_mistake_is_one_line(argv: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in _mistake(capsys, *argv, *(() if "--resume" in argv else ("--storage", str(tmp_path))))


def test_what_cannot_be_set_is_told(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = _mistake(capsys, "--study-file", file, "--set", "budget=3", "--storage", str(tmp_path))
    assert "Did you mean 'budget_tokens'?" in err


def test_no_seeds_are_no_study(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--seeds is 0" in _mistake(capsys, "--study-file", file, "--seeds", "0", "--storage", str(tmp_path))


def test_a_plan_tells_runs_and_tokens_and_runs_nothing(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["study", "--study-file", file, *ARGUMENTS, "--plan", "--json", "--storage", str(tmp_path), "--name", "mine"]) == 0
    )
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])["plan"]
    assert plan["runs"] == 8
    assert 4 * 2000 <= plan["tokens"] < 4 * 4000, "two cases, two seeds; `none` reads nothing"
    assert not (tmp_path / "mine").exists()


def test_examples_of_some_kinds() -> None:
    data = tiny.task()
    assert of_kinds(data, ()) is data
    with pytest.raises(UserError, match="unknown kind of example in invented 'capital'"):
        of_kinds(data, ("capital",))


@pytest.mark.long
def test_a_study_runs_on_lanes_and_goes_on_from_its_ledger(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--storage", str(tmp_path))
    assert main(["study", "--study-file", file, *ARGUMENTS, *where, "--name", "mine", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["runs"] == {"finished": 8}
    assert [case["name"] for case in told["verdict"]["cases"]] == ["atlas", "fewer"]
    assert {len(arm["values"]) for case in told["verdict"]["cases"] for arm in case["arms"]} == {2}
    page = Path(told["result"])
    assert "# Does reading help?" in page.read_text()
    assert (page.parent / "figure.svg").is_file()
    before = len(Study.read(page.parent).runs)
    page.unlink()
    assert main(["study", "--resume", "mine", *where]) == 0
    assert len(Study.read(page.parent).runs) == before
    assert page.is_file()
    assert main(["report", "mine", "--no-tracking", *where]) == 0
    assert capsys.readouterr().out.strip().endswith("RESULT.md")
    assert main(["list", *where]) == 0
    assert "study reading" in capsys.readouterr().out
