"""Recipes as JSON and back, their keys, and what a mistake in one is told as."""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest

from raylab.errors import UserError
from raylab.masking.policies.salient import Salient
from raylab.masking.policies.uniform import Uniform
from raylab.masking.policy import Policy
from raylab.recipe import NOT_IN_KEY, ModelSpec, Recipe, canonical, decode, digest, encode, knobs, run_key
from raylab.seeds import STREAMS, Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.optimizer import Optimization

SEEDS = Seeds.of(0, 0)
KEY = "aafbcaaa7d3fa463ce3c"  # of RECIPE on the data "data"
RECIPE = Recipe(
    base=ModelSpec(family="bart", dropout=0.1),
    stages=(Denoise(policy=Salient(spans=2), target="sentence", corpus_share=0.5),),
    task="triviaqa",
    finetune=Finetune(steps=20),
)


def changed(policy: type[Policy]) -> Policy:
    """A policy of which every knob differs from its default."""
    defaults = {f.name: f.default for f in fields(policy)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, knob in knobs(policy).items():
        others = [c for c in (*knob.choices, knob.low, knob.high) if c is not None and c != defaults[name]]
        values[name] = others[0]
    return policy(**values)


def with_policy(policy: Policy) -> Recipe:
    return replace(RECIPE, stages=(Denoise(policy=policy),))


@pytest.mark.parametrize("name", Policy.registry.names())
def test_every_policy_goes_to_json_and_back(name: str) -> None:
    policy = Policy.registry.get(name)
    recipe = with_policy(changed(policy))
    crossed = json.loads(json.dumps(encode(recipe)))
    assert crossed["stages"][0]["policy"]["name"] == name
    assert decode(Recipe, crossed) == recipe
    if knobs(policy):
        assert run_key(recipe, SEEDS, "d") != run_key(with_policy(policy()), SEEDS, "d")


def test_fields_left_out_take_their_defaults() -> None:
    short = {"base": {}, "stages": [], "task": "nq_open", "finetune": {"name": "finetune"}}
    assert decode(Recipe, short) == Recipe(base=ModelSpec(), stages=(), task="nq_open", finetune=Finetune())


def edited(path: str, value: Any) -> Any:
    """RECIPE's JSON form with another value at a dotted path."""
    plain = encode(RECIPE)
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = plain
    for step in parents:
        place = place[step]
    place[last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("stages.0.polcy", 1, r"unknown field of recipe.stages\[0\] 'polcy'. Did you mean 'policy'\?"),
        ("base.famly", "t5", r"unknown field of recipe.base 'famly'. Did you mean 'family'\?"),
        ("base.family", "t6", r"unknown recipe.base.family 't6'. Did you mean 't5'\?"),
        ("stages.0.policy.name", "salent", r"unknown masking policy 'salent'. Did you mean 'salient'\?"),
        ("stages.0.name", "denoize", r"unknown stage 'denoize'. Did you mean 'denoise'\?"),
        ("stages.0.policy.spans", "2", r"recipe.stages\[0\].policy.spans is '2'; expected int"),
        ("stages.0.policy.spans", 2.0, "expected int"),
        ("stages.0.policy.spans", True, "expected int"),
        ("stages.0.policy.spans", 0, "spans is 0; expected at least 1"),
        ("base.dropout", True, "recipe.base.dropout is True; expected float"),
        ("base.dropout", 1.0, "dropout is 1.0; expected a fraction"),
        ("base.dropout", float("nan"), "recipe.base.dropout is nan; expected a finite number"),
        ("base", [], r"recipe.base is \[\]; expected an object with named fields"),
        ("stages", {}, r"recipe.stages is \{\}; expected a list"),
        ("stages.0.policy", {"spans": 1}, r"recipe.stages\[0\].policy has no 'name'"),
        ("stages.0", {"name": "denoise"}, r"recipe.stages\[0\] lacks policy"),
        ("stages.0.budget_tokens", -1, "budget_tokens is -1; expected a positive number"),
        ("finetune.steps", 0, "expected positive numbers"),
        ("task", None, "recipe.task is None; expected str"),
    ],
)
def test_a_mistake_is_told_in_one_line(path: str, value: Any, told: str) -> None:
    with pytest.raises(UserError, match=told) as raised:
        decode(Recipe, edited(path, value))
    assert "\n" not in str(raised.value)


def test_whole_numbers_serve_as_fractions_and_none_where_it_may_stand() -> None:
    decoded = decode(Recipe, edited("base.dropout", 0))
    assert isinstance(decoded.base.dropout, float)
    assert decode(Recipe, edited("base.pretrained", "folder")).base.pretrained == "folder"
    assert decode(Recipe, edited("base.pretrained", None)).base.pretrained is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """A configuration of which one field does not decide the numbers."""

    rate: float = 0.1
    log_every: int = field(default=10, metadata=NOT_IN_KEY)


def test_fields_that_decide_no_number_leave_the_key_alone() -> None:
    noisy, other = Settings(log_every=1), Settings(rate=0.2)
    assert encode(noisy) == {"rate": 0.1, "log_every": 1}
    assert encode(noisy, for_key=True) == encode(Settings(), for_key=True) != encode(other, for_key=True)


def test_the_key_is_the_same_everywhere_and_for_ever() -> None:
    """A ledger of last year answers today's study by these keys: another value needs a new NUMERICS_VERSION."""
    assert run_key(RECIPE, SEEDS, "data") == KEY


@pytest.mark.parametrize("stream", STREAMS)
def test_the_key_holds_every_stream(stream: str) -> None:
    assert run_key(RECIPE, replace(SEEDS, **{stream: 7}), "data") != run_key(RECIPE, SEEDS, "data")


def test_the_key_holds_recipe_and_data() -> None:
    recipes = [
        RECIPE,
        replace(RECIPE, stages=()),
        replace(RECIPE, task="nq_open"),
        replace(RECIPE, base=ModelSpec()),
        with_policy(Uniform(rate=0.2)),
        replace(RECIPE, finetune=Finetune(steps=20, optimization=Optimization(learning_rate=1e-3))),
    ]
    keys = [run_key(recipe, SEEDS, data) for recipe in recipes for data in ("data", "others")]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 20 for key in keys)


def test_equal_values_give_equal_text() -> None:
    assert canonical({"b": 1, "a": (1.0, "é")}) == canonical({"a": [1.0, "é"], "b": 1}) == '{"a":[1.0,"é"],"b":1}'
    assert digest({"a": 1}) != digest({"a": 2})
    with pytest.raises(ValueError):
        canonical(float("nan"))
