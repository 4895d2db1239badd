"""`raylab policy`, through the command's main function."""

import pytest

from raylab.app.cli import main
from raylab.masking.policy import Policy


def test_list_names_every_policy_with_its_knobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in Policy.registry.names()) and "rate=0.15" in told


def test_show_marks_what_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    text = "Lake Orvane froze in 1831, when Ada Quill crossed it."
    assert main(["policy", "show", "salient", "--text", text, "--draws", "4", "--set", "spans=2"]) == 0
    draws = capsys.readouterr().out.splitlines()[1:]
    assert len(draws) == 4
    assert all(draw.replace("[", "").replace("]", "") == text and draw.count("[") == 2 for draw in draws)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "spam"], "Did you mean 'span'?"),
        (["show", "span", "--set", "rte=0.3"], "Did you mean 'rate'?"),
        (["show", "span", "--set", "rate"], "FIELD=VALUE"),
        (["show", "span", "--set", "rate=3"], "between 0 and 1"),
        (["show", "span", "--set", "rate=high"], "expected float"),
        (["show", "span", "--draws", "0"], "at least 1"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
