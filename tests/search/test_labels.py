"""Recipes in a few words, what differs between two, and where shipped files lie."""

from typing import Any

import pytest

from raylab.search.compare import Difference, absent, differences
from raylab.search.labels import NO_STAGES, label
from raylab.search.shipped import shipped


def _denoise(policy: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"stages": [{"name": "denoise", "policy": policy, "target": "spans", "corpus_share": 1.0, **fields}]}


def test_a_policy_with_its_defaults_is_its_name() -> None:
    from raylab.masking.policy import Policy
    from raylab.recipe import encode

    policy = encode(Policy.registry.get("uniform")())
    assert label(_denoise(policy, optimization={"learning_rate": 0.002})) == "uniform -> spans, lr 0.002"


def test_choices_that_are_not_the_default_are_named() -> None:
    recipe = _denoise({"name": "uniform", "rate": 0.345678}, target="sentence", corpus_share=0.5)
    assert label(recipe) == "uniform rate=0.346 -> sentence, 50% of the corpus"


def test_a_policy_that_is_not_installed_shows_all_it_has() -> None:
    assert label(_denoise({"name": "of-another-machine", "rate": 0.15})) == "of-another-machine rate=0.15 -> spans"


def test_no_stage() -> None:
    assert label({"stages": []}) == NO_STAGES


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [Difference(field="a", left=1, right=2)]),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, [Difference(field="a.b[0].c", left=1, right=2)]),
        ({"a": 1}, {}, [Difference(field="a", left=1, right=absent)]),
        ({}, {"a": None}, [Difference(field="a", left=absent, right=None)]),
        ({"a": ["x"]}, {"a": []}, [Difference(field="a", left=["x"], right=[])]),
    ],
)
def test_differences(left: Any, right: Any, expected: list[Difference]) -> None:
    assert differences(left, right) == expected


def test_shipped_files_are_found() -> None:
    assert (shipped("search_spaces") / "masking.py").is_file()
    assert shipped("experiments").is_dir()


def test_a_folder_that_does_not_ship_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_folder"):
        shipped("no_such_folder")
