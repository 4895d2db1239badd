"""Proposals by expected improvement, in a space whose choices depend on each other."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylab.recipe import ModelSpec
from raylab.search.proposal import EVEN, Tried, expected_improvement, propose, standardised
from raylab.search.scale import at, share_of
from raylab.search.simplex import Simplex
from raylab.search.space import Chooser, Domain, Setting, Space
from raylab.search.surrogate import Coordinates, Surrogate

TRIALS = 2 * EVEN
SETTING = Setting(task="t", base=ModelSpec(), policies=(), budget_tokens=1, finetune_steps=1)


def recipe(choose: Chooser, setting: Setting) -> Any:
    """A kind, which has a knob of its own or not, and a rate."""
    if choose.option("kind", ("plain", "knob")) == "knob":
        choose.integer("knob.size", 1, 8, default=2)
    choose.number("rate", 1e-3, 1e-1, default=1e-2, log=True)


def nothing(*_: Any) -> Any:
    raise AssertionError("not asked for")


SPACE = Space(
    name="s", path=Path("s.py"), baseline_family="plain", recipe=recipe, family=nothing, baseline=nothing, plain=nothing,
    starts=lambda setting: [],
)  # fmt: skip


def loss(values: dict[str, Any]) -> float:
    """Best at kind=knob, size 6, rate 0.03."""
    size, rate = values.get("knob.size", 6), values.get("rate", 0.03)
    return (values["kind"] == "plain") + 0.2 * abs(size - 6) + abs(math.log10(rate / 0.03))


def searched(trials: int, seed: int, noise: float = 0.0, setting: Setting = SETTING) -> list[Tried]:
    tried: list[Tried] = []
    for number in range(trials):
        rng = np.random.default_rng([seed, number])
        values = propose(SPACE, setting, tried, rng, trials=TRIALS)
        tried.append(Tried(values=values, loss=loss({"kind": "knob", **values}) + noise * rng.standard_normal()))
    return tried


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_even_draws_rarely_find(seed: int) -> None:
    true = [loss(dict(trial.values)) for trial in searched(30, seed, noise=0.1)]
    assert min(true) < 0.15
    assert np.median(true[EVEN:]) < 0.6 * np.median(true[:EVEN])


def test_the_first_are_drawn_evenly_and_the_same_draws_propose_the_same() -> None:
    first, again = searched(EVEN + 2, 0), searched(EVEN + 2, 0)
    assert first == again
    assert {trial.values["kind"] for trial in first[:EVEN]} == {"plain", "knob"}


def test_a_small_search_asks_the_surrogate_for_its_second_half() -> None:
    """With the same draws: where the surrogate is not asked yet, the score of a trial changes nothing of the next."""
    tried = searched(EVEN // 2, 0)
    worse = [replace(trial, loss=-(trial.loss or 0.0)) for trial in tried]

    def proposed(known: list[Tried], trials: int) -> dict[str, Any]:
        return propose(SPACE, SETTING, known, np.random.default_rng(3), trials=trials)

    assert proposed(tried, TRIALS) == proposed(worse, TRIALS)
    assert proposed(tried, EVEN) != proposed(worse, EVEN)


def test_choices_that_depend_on_others_are_there_when_they_should_be() -> None:
    for trial in searched(EVEN + 6, 1):
        assert ("knob.size" in trial.values) == (trial.values["kind"] == "knob")


def test_nothing_is_proposed_twice_while_anything_is_left() -> None:
    setting = Setting(task="t", base=ModelSpec(), policies=(), budget_tokens=1, finetune_steps=1, fixed={"rate": 0.01})
    chosen = [tuple(sorted(trial.values.items())) for trial in searched(12, 0, setting=setting)[:9]]
    assert len(set(chosen)) == 9  # plain, and eight sizes


def test_what_is_at_work_is_not_proposed_again_and_repels() -> None:
    tried = searched(20, 0)
    first = propose(SPACE, SETTING, tried, np.random.default_rng(7), trials=TRIALS)
    second = propose(SPACE, SETTING, [*tried, Tried(values=first)], np.random.default_rng(7), trials=TRIALS)
    assert second != first


def test_what_cannot_run_is_avoided() -> None:
    """High rates diverge, just behind the best."""
    tried: list[Tried] = []
    for number in range(34):
        values = propose(SPACE, SETTING, tried, np.random.default_rng([0, number]), trials=TRIALS)
        tried.append(Tried(values=values, loss=math.inf if values["rate"] > 0.02 else -values["rate"]))
    assert sum(trial.values["rate"] > 0.02 for trial in tried[-12:]) <= 5


def test_with_nothing_but_what_cannot_run_it_draws_on() -> None:
    tried = [Tried(values=trial.values, loss=math.inf) for trial in searched(EVEN + 3, 0)]
    assert propose(SPACE, SETTING, tried, np.random.default_rng(0), trials=TRIALS)["kind"] in ("plain", "knob")


def test_equal_scores_are_no_error() -> None:
    tried = [Tried(values=trial.values, loss=1.0) for trial in searched(EVEN + 3, 0)]
    assert propose(SPACE, SETTING, tried, np.random.default_rng(0), trials=TRIALS)["kind"] in ("plain", "knob")


def test_the_worst_count_alike() -> None:
    scores = standardised(np.array([1.0, 2.0, 3.0, 3.0, 1e9, math.inf]))
    assert scores[2] > scores[1] > scores[0] and scores[4] == scores[5] == scores[3]
    assert math.isclose(scores.mean(), 0.0, abs_tol=1e-12) and math.isclose(scores.std(), 1.0)


def test_expected_improvement_is_that_of_a_normal_distribution() -> None:
    draws = 0.3 + 0.5 * np.random.default_rng(0).standard_normal(200_000)
    expected = expected_improvement(np.array([0.3]), np.array([0.5]), 0.1)[0]
    assert math.isclose(expected, np.maximum(0.1 - draws, 0).mean(), rel_tol=0.02)


@pytest.mark.parametrize(
    "domain",
    [
        Domain(default=1, low=1, high=9, integer=True),
        Domain(default=1, low=1, high=9, integer=True, log=True),
        Domain(default=1.0, low=0.5, high=2.0),
        Domain(default=0.1, low=0.01, high=1.0, log=True),
        Domain(default=3, low=3, high=3, integer=True),
    ],
)
def test_a_number_and_its_share(domain: Domain) -> None:
    assert at(domain, 0.0) == domain.low and math.isclose(at(domain, 1 - 1e-12), domain.high)
    for share in np.linspace(0, 1 - 1e-9, 23):
        value = at(domain, float(share))
        assert domain.low <= value <= domain.high
        assert math.isclose(at(domain, share_of(domain, value)), value)


def test_a_surrogate_smooths_noise_and_is_unsure_where_nothing_ran() -> None:
    rng = np.random.default_rng(0)
    coordinates = Coordinates(domains={"x": Domain(default=0.5, low=0.0, high=1.0)})
    points = coordinates.of([{"x": x} for x in np.linspace(0, 0.6, 60)])
    true = np.sin(6 * points[:, 0])
    scores = true + 0.5 * rng.standard_normal(60)
    surrogate = Surrogate(coordinates, points, (scores - scores.mean()) / scores.std())
    mean, sd = surrogate.mean_and_sd(points)
    estimate = mean * scores.std() + scores.mean()
    assert np.abs(estimate - true).mean() < 0.5 * np.abs(scores - true).mean()
    far = surrogate.mean_and_sd(coordinates.of([{"x": 1.0}]))[1]
    assert far[0] > 2 * sd.max()


def test_a_believer_expects_the_same_and_is_surer() -> None:
    coordinates = Coordinates(domains={"x": Domain(default=0.5, low=0.0, high=1.0)})
    points = coordinates.of([{"x": x} for x in np.linspace(0, 0.5, 20)])
    surrogate = Surrogate(coordinates, points, standardised((points[:, 0] - 0.2) ** 2))
    there = coordinates.of([{"x": 0.8}])
    believer = surrogate.believing(there)
    assert math.isclose(believer.mean_and_sd(there)[0][0], surrogate.mean_and_sd(there)[0][0], rel_tol=1e-6, abs_tol=1e-9)
    assert believer.mean_and_sd(there)[1][0] < surrogate.mean_and_sd(there)[1][0]


def test_options_are_equally_far_apart_and_what_is_absent_lies_in_the_middle() -> None:
    domains = {"kind": Domain(default="a", options=("a", "b", "c")), "size": Domain(default=1.0, low=0.0, high=1.0)}
    placed = Coordinates(domains=domains).of([{"kind": "a", "size": 0.0}, {"kind": "b", "size": 0.0}, {"kind": "c"}])
    assert math.isclose(np.linalg.norm(placed[0] - placed[1]), 1.0)
    assert placed[2, -1] == 0.5


def test_parts_of_a_simplex_lie_at_the_roots_of_their_proportions() -> None:
    simplex = Simplex.of("weights", ("a", "b", "c", "d"), out=0.3)
    domains = {name: Domain(default=0.5, low=0.0, high=1.0, simplex=simplex) for name in simplex.choices()}
    two = dict(zip(simplex.choices(), simplex.places({"a": 0.25, "b": 0.75}), strict=True))
    placed = Coordinates(domains=domains).of([two, {}, {**two, "weights.b": 0.1}])
    assert placed[0] == pytest.approx([0.5, math.sqrt(0.75), 0, 0])
    assert placed[1] == pytest.approx([0.5] * 4)  # none of it: all alike
    assert placed[2] == pytest.approx([1, 0, 0, 0])
    fixed = Coordinates(domains={name: domains[name] for name in list(domains)[:3]})  # d is fixed to be out
    assert fixed.of([two])[0] == pytest.approx([0.5, math.sqrt(0.75), 0])
