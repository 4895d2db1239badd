"""What to try next, by expected improvement over a noise-aware surrogate (raylab.search.surrogate).

The first trials are drawn evenly: a dozen, or half of a search that has less than two dozen. Then a Gaussian process is
fitted to all scores so far, and the recipe is proposed of which most improvement is expected (Jones, Schonlau & Welch 1998)
over the best *estimate* so far: not the best score, which is the luckiest. The candidates are even draws of the space and
neighbours of what is estimated best, differing in one or two choices; both are drawn by the space's own function, so that
choices that depend on others are drawn as it says.

Where the noise of a run is large against what is still unknown of a recipe, one more run of its like teaches little: expected
improvement is augmented for that (Huang, Allen, Notz & Zeng 2006, J. Glob. Optim. 34). Three more rules, each for a reason:

    the worst quarter counts alike     where it is bad, it matters little how bad: losses there are of other orders of magnitude,
                                       and a process that has to follow them is blind among the good ones. (With the worse half
                                       alike, a search that has settled somewhere soon takes all else for as bad as its own.)
    so do stopped early, out of        it is known to be bad, and its figure is of another budget, or there is none
    memory, diverged
    no recipe is proposed twice        more seeds are the race's business (raylab.verdict.selection)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from raylab.search.scale import at, share_of
from raylab.search.space import Chooser, Domain, Setting, Space
from raylab.search.surrogate import Coordinates, Surrogate, Vector

EVEN = 12  # trials before the surrogate is asked, at most half of a search
DRAWS = 400  # candidates from the whole space
PARENTS, CHILDREN = 8, 50  # candidates near the best
CEILING = 0.75  # quantile of the losses above which all are alike
STEP = 0.2  # of a number's scale, to a neighbour
ANYWHERE = 0.3  # of the time, a number that changes is drawn from its whole domain
MOST = 300  # trials that the surrogate is fitted to: its work grows with their cube

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A trial so far. loss: less is better; infinite where it was stopped or cannot run; None while it is at work."""

    values: Values
    loss: float | None = None


def propose(space: Space, setting: Setting, tried: Sequence[Tried], rng: np.random.Generator, *, trials: int) -> dict[str, Any]:
    """The values of the recipe to try next, in a search of so many trials."""
    known = [trial for trial in tried if trial.loss is not None]
    if len(known) < min(EVEN, trials // 2) or not any(map(_finite, known)):
        return _new([_even(space, setting, rng)[0] for _ in range(DRAWS)], tried)[0]
    known = sorted(known, key=lambda trial: trial.loss or 0.0)[:MOST]
    drawn = [_even(space, setting, rng) for _ in range(DRAWS)]
    domains = _domains(space, setting, [trial.values for trial in tried], [domains for _, domains in drawn])
    coordinates = Coordinates(domains=domains)
    points = coordinates.of([trial.values for trial in known])
    surrogate = Surrogate(coordinates, points, standardised(np.array([trial.loss for trial in known])))
    surrogate = surrogate.believing(coordinates.of([trial.values for trial in tried if trial.loss is None]))
    estimates, _ = surrogate.mean_and_sd(points)
    parents = [known[i].values for i in np.argsort(estimates, kind="stable")[:PARENTS]]
    near = [_near(space, setting, parent, rng) for parent in parents for _ in range(CHILDREN)]
    candidates = _new([*(values for values, _ in drawn), *near], tried)
    mean, sd = surrogate.mean_and_sd(coordinates.of(candidates))
    worth = expected_improvement(mean, sd, float(estimates.min())) * (1 - surrogate.noise_sd / np.hypot(sd, surrogate.noise_sd))
    return candidates[int(np.argmax(worth))]


def standardised(losses: NDArray[np.float64]) -> Vector:
    """Losses as the surrogate takes them: the worst quarter alike, mean 0, variance 1."""
    finite = losses[np.isfinite(losses)]
    clipped = np.minimum(losses, np.quantile(finite, CEILING))
    result: Vector = (clipped - clipped.mean()) / (clipped.std() or 1.0)
    return result


def expected_improvement(mean: Vector, sd: Vector, best: float) -> Vector:
    """By how much each is expected to be below `best`."""
    z = (best - mean) / sd
    result: Vector = (best - mean) * ndtr(z) + sd * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return result


class _Even(Chooser):
    """Draws evenly."""

    def __init__(self, setting: Setting, rng: np.random.Generator) -> None:
        super().__init__(setting.fixed)
        self.rng = rng

    def draw(self, name: str, domain: Domain) -> Any:
        return at(domain, self.rng.random())


class _Near(_Even):
    """Takes a parent's values but for one or two; what the parent does not have is drawn evenly."""

    def __init__(self, setting: Setting, rng: np.random.Generator, parent: Values) -> None:
        super().__init__(setting, rng)
        self.parent = parent
        names = list(parent)
        self.changed = {names[i] for i in rng.permutation(len(names))[: rng.integers(1, 3)]}

    def draw(self, name: str, domain: Domain) -> Any:
        value = self.parent.get(name)
        if value is None or (name in self.changed and (domain.options or self.rng.random() < ANYWHERE)):
            return super().draw(name, domain)
        if name not in self.changed:
            return domain.check(name, value)
        share = share_of(domain, value) + STEP * self.rng.standard_normal()
        return at(domain, float(np.clip(share, 0.0, 1 - 1e-9)))


def _even(space: Space, setting: Setting, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Domain]]:
    draw = _Even(setting, rng)
    space.recipe(draw, setting)
    return draw.values, draw.domains


def _near(space: Space, setting: Setting, parent: Values, rng: np.random.Generator) -> dict[str, Any]:
    draw = _Near(setting, rng, parent)
    space.recipe(draw, setting)
    return draw.values


def _domains(
    space: Space, setting: Setting, recipes: Sequence[Values], drawn: Sequence[Mapping[str, Domain]]
) -> dict[str, Domain]:
    """Of every choice that any of the recipes has, or may have."""
    found = {name: domain for domains in drawn for name, domain in domains.items()}
    for values in recipes:
        if not values.keys() <= found.keys():
            found |= space.decode(values, setting)[2]
    return {name: domain for name, domain in found.items() if len(domain.options) != 1 and name not in setting.fixed}


def _new(candidates: Sequence[dict[str, Any]], tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """Each once, without those that were tried; all of them if nothing else is left to try."""
    known = {_identity(trial.values) for trial in tried}
    kept = {identity: values for values in candidates if (identity := _identity(values)) not in known}
    return list(kept.values()) or list(candidates)


def _identity(values: Values) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))


def _finite(trial: Tried) -> bool:
    return trial.loss is not None and math.isfinite(trial.loss)
