"""Spaces: the same function draws and decodes, `--set` fixes a choice, and what doesn't fit is told."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from raylab.errors import UserError
from raylab.masking.policy import Policy, policies_by_default
from raylab.recipe import Recipe, knob, knobs
from raylab.search.simplex import Simplex
from raylab.search.space import Chooser, Domain, Replay, Space, load_space, space_names
from tests.search.small_study import SETTING, Draws

EVERY = replace(SETTING, policies=policies_by_default())


@pytest.fixture(scope="module", params=space_names())
def space(request: pytest.FixtureRequest) -> Space:
    return load_space(request.param)


@pytest.fixture(scope="module")
def masking() -> Space:
    return load_space("masking")


def fixed(**values: Any) -> Any:
    return replace(EVERY, fixed={name.replace("__", "."): value for name, value in values.items()})


def test_what_was_drawn_decodes_to_the_same_recipe(space: Space) -> None:
    for seed in range(60):
        draws = Draws(seed)
        recipe = space.recipe(draws, EVERY)
        again, values, domains = space.decode(draws.values, EVERY)
        assert again == recipe
        assert values == draws.values
        assert list(domains) == list(values)


def test_draws_reach_every_policy_and_stay_in_the_domains(masking: Space) -> None:
    seen: Counter[str] = Counter()
    for seed in range(300):
        draws = Draws(seed)
        masking.recipe(draws, EVERY)
        for name, value in draws.values.items():
            assert draws.domains[name].check(name, value) == value
        seen[draws.values["policy"]] += 1
    assert set(seen) == set(EVERY.policies)


def test_a_policys_knobs_are_drawn_with_it_and_no_others(masking: Space) -> None:
    for name in EVERY.policies:
        _, values, _ = masking.decode({"policy": name}, EVERY)
        of_policies = {v for v in values if v.partition(".")[0] in EVERY.policies}
        assert of_policies == {f"{name}.{k}" for k in knobs(Policy.registry.get(name))}


def test_defaults_are_the_policies_own(masking: Space) -> None:
    for name in EVERY.policies:
        recipe: Any = masking.decode({"policy": name}, EVERY)[0]
        assert recipe.stages[0].policy == Policy.registry.get(name)()


def test_without_pretraining_there_is_no_policy(masking: Space) -> None:
    assert masking.family(masking.plain(masking.recipe(Draws(0), EVERY))) == "none"


def test_starts_begin_with_the_baseline_and_hold_every_policy_once(masking: Space) -> None:
    recipes = [masking.decode(start, EVERY)[0] for start in masking.starts(EVERY)]
    families = [masking.family(recipe) for recipe in recipes]
    assert families[0] == masking.baseline_family
    assert sorted(families) == sorted(EVERY.policies)


def test_the_baseline_and_the_plain_recipe(space: Space) -> None:
    for seed in range(20):
        recipe = space.recipe(Draws(seed), EVERY)
        assert space.family(space.baseline(recipe, EVERY)) == space.baseline_family
        assert space.baseline(space.baseline(recipe, EVERY), EVERY) == space.baseline(recipe, EVERY)
        assert space.plain(recipe) == replace(recipe, stages=())


def test_draws_and_starts_stay_in_the_domains(space: Space) -> None:
    for seed in range(60):
        draws = Draws(seed)
        space.recipe(draws, EVERY)
        for name, value in draws.values.items():
            assert draws.domains[name].check(name, value) == value
    families = [space.family(space.decode(start, EVERY)[0]) for start in space.starts(EVERY)]
    assert families[0] == space.baseline_family


def test_set_fixes_a_choice(masking: Space) -> None:
    setting = fixed(policy="span", learning_rate="0.002", span__rate="0.4")
    masking.check_fixed(setting)
    for seed in range(20):
        draws = Draws(seed, setting.fixed)
        recipe: Any = masking.recipe(draws, setting)
        stage = recipe.stages[0]
        assert (stage.policy.name(), stage.policy.rate, stage.optimization.learning_rate) == ("span", 0.4, 0.002)
        assert not {"policy", "learning_rate", "span.rate"} & draws.values.keys()  # nothing to search there
        assert masking.decode(draws.values, setting)[0] == recipe


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"learing_rate": "0.002"}, "unknown choice for --set 'learing_rate'. Did you mean 'learning_rate'?"),
        ({"span__rat": "0.2"}, "unknown choice for --set 'span.rat'. Did you mean 'span.rate'?"),
        ({"policy": "salent"}, "unknown value of policy 'salent'. Did you mean 'salient'?"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; expected a number from 0.001 to 0.01"),
        ({"learning_rate": "5"}, "learning_rate is 5; expected a number from 0.001 to 0.01"),
        ({"learning_rate": "nan"}, "learning_rate is nan; expected a number"),
        ({"span__rate": "0.9"}, "span.rate is 0.9; expected a number from 0.05 to 0.6"),
        ({"policy": "uniform", "span__rate": "0.2"}, "unknown choice for --set 'span.rate'"),
    ],
)
def test_a_set_that_does_not_fit_is_told(values: dict[str, str], told: str) -> None:
    with pytest.raises(UserError) as raised:
        load_space("masking").check_fixed(fixed(**values))
    assert told in str(raised.value) and "\n" not in str(raised.value)


def test_a_baseline_that_is_not_in_the_space_is_told(tmp_path: Path) -> None:
    text = load_space("masking").path.read_text().replace('BASELINE = "uniform"', 'BASELINE = "unifrom"', 1)
    for name, file, told in (
        ("typo", text, "unknown masking policy 'unifrom'"),
        ("other", text.replace("registry.get(BASELINE)", 'registry.get("span")'), "isn't in the space: BASELINE is 'unifrom'"),
    ):
        (tmp_path / f"{name}.py").write_text(file)
        with pytest.raises(UserError) as raised:
            load_space("mine", tmp_path / f"{name}.py").check_fixed(EVERY)
        assert told in str(raised.value) and "\n" not in str(raised.value)


# --- domains and choosers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "given", "got"),
    [
        (Domain(default=1.0, options=(1.0, 0.5)), "0.5", 0.5),
        (Domain(default=1.0, options=(1.0, 0.5)), "1", 1.0),
        (Domain(default=1.0, options=(1.0, 0.5)), 1, 1.0),
        (Domain(default=1, options=(1, 2, 4)), "2", 2),
        (Domain(default="spans", options=("spans", "sentence")), "spans", "spans"),
        (Domain(default=3, low=1, high=9, integer=True), "9", 9),
        (Domain(default=3.0, low=1, high=9), "1", 1.0),
    ],
)
def test_a_domain_takes_what_lies_in_it(domain: Domain, given: Any, got: Any) -> None:
    value = domain.check("choice", given)
    assert value == got and type(value) is type(got)


@pytest.mark.parametrize("given", ["2.5", "10", "many", ""])
def test_a_domain_of_whole_numbers_takes_no_others(given: str) -> None:
    with pytest.raises(UserError, match=f"choice is .?{given}.?; expected a whole number from 1 to 9"):
        Domain(default=3, low=1, high=9, integer=True).check("choice", given)


@dataclass(frozen=True, kw_only=True, slots=True)
class Invented:
    """A configuration with knobs of every sort, and a field that is none."""

    rate: float = knob(0.2, low=0.1, high=0.9)
    steps: int = knob(4, low=1, high=16, log=True)
    kind: str = knob("b", choices=("a", "b"))
    fixed: int = 7


def test_knobs_are_drawn_over_the_ranges_they_state() -> None:
    replay = Replay({})
    assert replay.knobs("it", Invented) == {"rate": 0.2, "steps": 4, "kind": "b"}
    assert replay.domains["it.steps"] == Domain(default=4, low=1, high=16, log=True, integer=True)
    assert replay.domains["it.kind"].options == ("a", "b")
    assert Replay({"it.rate": 0.5, "it.steps": 3, "it.kind": "a"}).knobs("it", Invented) == {"rate": 0.5, "steps": 3, "kind": "a"}


def test_a_single_option_is_no_choice() -> None:
    choose: Chooser = Draws(0)
    assert choose.option("policy", ("uniform",)) == "uniform"
    assert choose.values == {}


# --- files ----------------------------------------------------------------------------------------------------------

MINE = """
from dataclasses import replace
from raylab.search.space import load_space
masking = load_space("masking")
BASELINE = "uniform"
family, baseline, plain, starts = masking.family, masking.baseline, masking.plain, masking.starts

def recipe(choose, setting):
    drawn = masking.recipe(choose, setting)
    return replace(drawn, finetune=replace(drawn.finetune, steps=choose.integer("steps", 1, 9, default=3)))
"""


def test_a_space_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "longer.py"
    path.write_text(MINE)
    space = load_space("longer", path)
    recipe, values, _ = space.decode({"steps": 5}, SETTING)
    assert isinstance(recipe, Recipe)
    assert (recipe.finetune.steps, values["steps"], space.name) == (5, 5, "longer")  # type: ignore[attr-defined]


def test_a_file_that_lacks_a_function_is_told(tmp_path: Path) -> None:
    path = tmp_path / "short.py"
    path.write_text("BASELINE = 'uniform'\ndef recipe(choose, setting): ...\ndef starts(setting): ...\n")
    with pytest.raises(UserError, match=r"short.py lacks family, baseline, plain; a space defines BASELINE, recipe"):
        load_space("short", path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.py is no file. Give a Python file that defines recipe"):
        load_space("gone", tmp_path / "gone.py")


def test_a_file_that_fails_shows_its_own_error(tmp_path: Path) -> None:
    path = tmp_path / "failing.py"
    path.write_text("raise LookupError('mine')\n")
    with pytest.raises(LookupError, match="mine"):
        load_space("failing", path)


def test_an_unknown_space_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown space 'maskin'. Did you mean 'masking'\?"):
        load_space("maskin")


def test_a_simplex_is_a_choice_a_part_and_decodes_to_the_same_proportions() -> None:
    simplex = Simplex.of("weights", ("a", "b", "c"), out=0.5)
    drawn = Draws(3)
    proportions = drawn.simplex(simplex)
    assert list(drawn.values) == ["weights.a", "weights.b", "weights.c"]
    assert Replay(drawn.values).simplex(simplex) == proportions
    assert Replay({}).simplex(simplex, {"a": 3.0, "c": 1.0}) == pytest.approx({"a": 0.75, "b": 0.0, "c": 0.25})
    assert Replay({}, {"weights.b": "0"}).simplex(simplex) == pytest.approx({"a": 0.5, "b": 0.0, "c": 0.5})
