"""Proportions of tasks: as large as they are, tempered, or given."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from raylab.errors import UserError


def natural(sizes: Sequence[int]) -> np.ndarray:
    """Each task by its number of training examples (Aghajanyan et al. 2021): weights that sum to 1."""
    return tempered(sizes, 1.0)


def tempered(sizes: Sequence[int], temperature: float) -> np.ndarray:
    """Sizes to the power 1 / temperature: 1 keeps proportions, more makes them more equal (Raffel et al. 2020, section 3.5.2)."""
    if not temperature > 0:
        raise UserError(
            f"temperature is {temperature:g}; expected a positive number: 1 for natural proportions, more to level them."
        )
    log_sizes = np.log(np.asarray(sizes, dtype=float)) / temperature
    weights: np.ndarray = np.exp(log_sizes - log_sizes.max())
    return weights / weights.sum()


def given(weights: Mapping[str, float], tasks: Sequence[str]) -> np.ndarray:
    """The weights of these tasks, scaled to sum to 1. Raises UserError for one that is negative or no number, names no task, or
    where all are zero."""
    for name, weight in weights.items():
        if name not in tasks:
            raise UserError(f"a weight is given for {name!r}, which is not in the mixture: {', '.join(tasks)}.")
        if not (math.isfinite(weight) and weight >= 0):
            raise UserError(f"the weight of {name} is {weight:g}; expected 0 or more.")
    chosen = np.array([weights.get(task, 0.0) for task in tasks], dtype=float)
    if not chosen.sum() > 0:
        raise UserError("the weights of the mixture sum to 0; expected at least one task with a positive weight.")
    return chosen / chosen.sum()
