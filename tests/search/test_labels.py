"""Recipes in a few words."""

from typing import Any

from raylab.masking.policy import Policy
from raylab.recipe import encode
from raylab.search.labels import NO_MORE_STAGES, NO_STAGES, label


def _denoise(policy: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"stages": [{"name": "denoise", "policy": policy, "target": "spans", "corpus_share": 1.0, **fields}]}


def test_a_policy_with_its_defaults_is_its_name() -> None:
    policy = encode(Policy.registry.get("uniform")())
    assert label(_denoise(policy, optimization={"learning_rate": 0.002})) == "uniform -> spans, lr 0.002"


def test_choices_that_are_not_the_default_are_named() -> None:
    recipe = _denoise({"name": "uniform", "rate": 0.345678}, target="sentence", corpus_share=0.5)
    assert label(recipe) == "uniform rate=0.346 -> sentence, 50% of the corpus"


def test_a_policy_that_is_not_installed_shows_all_it_has() -> None:
    assert label(_denoise({"name": "of-another-machine", "rate": 0.15})) == "of-another-machine rate=0.15 -> spans"


def test_no_stage() -> None:
    assert label({"base": {"pretrained": None}, "stages": []}) == NO_STAGES
    assert label({"base": {"pretrained": "some/checkpoint"}, "stages": []}) == NO_MORE_STAGES


def test_a_mixture_is_its_largest_tasks() -> None:
    stage = {"name": "pre_finetune", "tasks": ["a", "b", "c", "d"], "weights": [1, 4, 3, 2]}
    assert label({"stages": [stage]}) == "pre_finetune on b 40% + c 30% + d 20% + 1 more"
    assert label({"stages": [{**stage, "weights": [], "temperature": 2.0}]}) == "pre_finetune on 4 tasks temperature=2"
