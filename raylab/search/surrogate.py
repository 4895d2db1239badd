"""A Gaussian process over recipes: what their scores will be, from the noisy scores of those that ran.

Recipes are told by the values that a space drew, so that a choice may be there or not (a policy's own knobs): `coordinates`
places them. Numbers lie between 0 and 1 on their domain's scale, options at equal distances from each other, and a choice
that a recipe does not have lies in the middle of its domain, as far from all of its ends. Proportions on a simplex lie at their
square roots, where a little of a part is far from none of it (Hellinger's distance): what a part adds grows ever more slowly.

The process has a Matern 5/2 kernel with a length scale for every choice and a noise term (Rasmussen & Williams 2006, chapters
2, 4 and 5). All of them are fitted by their posterior mode: the priors, wide and on a logarithmic scale, keep a choice that
few recipes tell of from being taken for decisive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from raylab.search.scale import share_of
from raylab.search.space import Domain

Vector = NDArray[np.float64]
Table = NDArray[np.float64]

ROOT5 = np.sqrt(5.0)
MIDDLE = 0.5  # of a domain, on its scale
JITTER = 1e-6
ITERATIONS = 40
SIGNAL, NOISE = (0.0, 0.7), (np.log(0.1), 1.5)  # priors of log variances, mean and sd; scores have variance 1
INVERSE_LENGTH_SD = 1.5
BOUNDS = ((-8.0, 5.0), (-4.0, 4.0), (-9.0, 2.0))  # of log inverse squared lengths, signal, noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Coordinates:
    """Where recipes lie. domains: of every choice that any of them has."""

    domains: Mapping[str, Domain]

    @property
    def groups(self) -> list[slice]:
        """The columns of each choice."""
        widths = [len(domain.options) or 1 for domain in self.domains.values()]
        ends = np.cumsum(widths)
        return [slice(int(end) - width, int(end)) for end, width in zip(ends, widths, strict=True)]

    def of(self, recipes: Sequence[Mapping[str, Any]]) -> Table:
        """Of N recipes, by their values; shape (N, columns)."""
        placed = [self._on_simplexes(values) for values in recipes]
        columns = [self._columns(name, domain, placed) for name, domain in self.domains.items()]
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(recipes), 0))

    def _on_simplexes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with roots of proportions for places on a simplex; a part that is not among them is out, but where none is
        all are alike."""
        found = dict(values)
        for simplex in dict.fromkeys(domain.simplex for domain in self.domains.values() if domain.simplex):
            names = simplex.choices()
            places = [values.get(name, 0.0) for name in names]
            proportions = simplex.proportions(places) if any(name in values for name in names) else [1 / len(names)] * len(names)
            found |= zip(names, np.sqrt(proportions).tolist(), strict=True)
        return found

    def _columns(self, name: str, domain: Domain, recipes: Sequence[Mapping[str, Any]]) -> Table:
        if not domain.options:
            return np.array([share_of(domain, values[name]) if name in values else MIDDLE for values in recipes]).reshape(-1, 1)
        placed = np.zeros((len(recipes), len(domain.options)))
        for row, values in zip(placed, recipes, strict=True):
            if name in values:
                row[domain.options.index(values[name])] = np.sqrt(0.5)  # two options are 1 apart
        return placed


class Surrogate:
    """A Gaussian process fitted to scores of mean 0 and variance 1. points_NK: coordinates, one row a score."""

    def __init__(self, coordinates: Coordinates, points_NK: Table, scores_N: Vector) -> None:
        self.groups = coordinates.groups
        self.log = self._fitted(self._squares(points_NK, points_NK), scores_N)
        self._condition(points_NK, scores_N)

    @property
    def noise_sd(self) -> float:
        """Of a run's score about the recipe's expected one."""
        return float(np.exp(0.5 * self.log[-1]))

    def mean_and_sd(self, points_MK: Table) -> tuple[Vector, Vector]:
        """Posterior mean and standard deviation of a recipe's expected score, without the noise of a run; shapes (M,)."""
        across_MN, _, _ = self._kernel(self._squares(points_MK, self.points_NK), self.log)
        explained = solve_triangular(self._factor[0], across_MN.T, lower=True)
        variance = np.exp(self.log[-2]) - (explained**2).sum(axis=0)
        return across_MN @ self._weights_N, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, points_MK: Table) -> "Surrogate":
        """As if these recipes, which are at work, had scored what is expected of them (Ginsbourger et al. 2010)."""
        if not len(points_MK):
            return self
        mean_M, _ = self.mean_and_sd(points_MK)
        believer = object.__new__(Surrogate)
        believer.groups, believer.log = self.groups, self.log
        believer._condition(np.concatenate([self.points_NK, points_MK]), np.concatenate([self.scores_N, mean_M]))
        return believer

    def _condition(self, points_NK: Table, scores_N: Vector) -> None:
        self.points_NK, self.scores_N = points_NK, scores_N
        kernel_NN, _, _ = self._kernel(self._squares(points_NK, points_NK), self.log)
        self._factor = cho_factor(kernel_NN + (np.exp(self.log[-1]) + JITTER) * np.eye(len(scores_N)), lower=True)
        self._weights_N = cho_solve(self._factor, scores_N)

    def _squares(self, left_MK: Table, right_NK: Table) -> Table:
        """Squared distances by choice; shape (choices, M, N)."""
        found = np.empty((len(self.groups), len(left_MK), len(right_NK)))
        for square_MN, columns in zip(found, self.groups, strict=True):
            left, right = left_MK[:, columns], right_NK[:, columns]
            inner = left @ right.T
            square_MN[:] = np.maximum((left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * inner, 0.0)
        return found

    def _kernel(self, squares_CMN: Table, log: Vector) -> tuple[Table, Table, Table]:
        """Matern 5/2, the distances, and exp(-sqrt(5) * distance)."""
        square_MN = np.tensordot(np.exp(log[:-2]), squares_CMN, 1)
        distance_MN = np.sqrt(square_MN + 1e-12)
        decay_MN = np.exp(-ROOT5 * distance_MN)
        return np.exp(log[-2]) * (1 + ROOT5 * distance_MN + 5 / 3 * square_MN) * decay_MN, distance_MN, decay_MN

    def _fitted(self, squares_CNN: Table, scores_N: Vector) -> Vector:
        """Posterior mode of the logarithms: inverse squared lengths, variance of the signal, variance of the noise."""
        choices = len(squares_CNN)
        typical = np.log(2.0 / max(1, choices))  # then two recipes are about 1 apart
        centre = np.array([*[typical] * choices, SIGNAL[0], NOISE[0]])
        spread = np.array([*[INVERSE_LENGTH_SD] * choices, SIGNAL[1], NOISE[1]])
        one_NN = np.eye(len(scores_N))

        def loss(log: Vector) -> tuple[float, Vector]:
            kernel_NN, distance_NN, decay_NN = self._kernel(squares_CNN, log)
            noise = np.exp(log[-1])
            factor = cho_factor(kernel_NN + (noise + JITTER) * one_NN, lower=True)
            weights_N = cho_solve(factor, scores_N)
            outer_NN = np.outer(weights_N, weights_N) - cho_solve(factor, one_NN)
            slope_NN = -np.exp(log[-2]) * 5 / 6 * (1 + ROOT5 * distance_NN) * decay_NN  # d kernel / d squared distance
            gradient = np.empty_like(log)
            gradient[:-2] = 0.5 * np.exp(log[:-2]) * np.tensordot(squares_CNN, outer_NN * slope_NN, 2)
            gradient[-2:] = 0.5 * (outer_NN * kernel_NN).sum(), 0.5 * noise * np.trace(outer_NN)
            off = (log - centre) / spread
            fit = -0.5 * scores_N @ weights_N - np.log(np.diag(factor[0])).sum()
            return float(0.5 * off @ off - fit), off / spread - gradient

        bounds = [*[BOUNDS[0]] * choices, *BOUNDS[1:]]
        found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
        fitted: Vector = found.x
        return fitted
