"""How many tasks should a model learn before its own: is there a critical number?

After Aghajanyan et al. 2021 (MUPPET), who trained on nested sets of 10 to 40 and more data sets: below about 15 most targets were
hurt, and from there on more helped. Here the sets are nested, too, and in an order that is drawn anew for each seed, so that it
is their number that is compared and not which they are; the targets are in none of them; every set has as many updates.
"""

import numpy as np

from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case
from raylab.search.comparison.small import held_out_tasks, mixed
from raylab.seeds import derive

REFERENCE = "none"
COUNTS = (1, 2, 4, 8, 16)


def cases(asked: Asked) -> list[Case]:
    """Three targets, each after the same tasks."""
    return held_out_tasks(asked)


def arms(at: At) -> dict[str, Recipe]:
    """The first few of all tasks, and all."""
    tasks = np.random.default_rng(derive(at.seeds.data, "order of tasks")).permutation(at.case.sources).tolist()
    counts = [count for count in COUNTS if count < len(tasks)]
    sets = {"none": 0, **{f"{count} task{'s' * (count > 1)}": count for count in counts}, f"all {len(tasks)} tasks": len(tasks)}
    return {label: mixed(at, sorted(tasks[:count])) for label, count in sets.items()}
