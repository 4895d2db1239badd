"""With how few labels does learning other tasks before pay?

After Aghajanyan et al. 2021 (MUPPET), who finetuned on shares of three data sets that were in no mixture: the more tasks came
before, the fewer labels were needed. Here a few tasks, all of them and none come before the same share of the target's labels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case, Contrast
from raylab.search.comparison.small import held_out_tasks, mixed
from raylab.seeds import derive

REFERENCE = "none"
X = "labels used, %"
SHARES = (0.1, 0.3, 1.0)
FEW = 3


def cases(asked: Asked) -> list[Case]:
    """The targets, each at every share of its labels."""
    return [
        replace(case, name=f"{share:.0%} of {case.name}", x=100 * share, tags={"share": share})
        for case in held_out_tasks(asked)
        for share in SHARES
    ]


def arms(at: At) -> dict[str, Recipe]:
    """Nothing, a few tasks that each seed draws, and all, before the same labels."""
    drawn = np.random.default_rng(derive(at.seeds.data, "few tasks")).permutation(at.case.sources).tolist()
    sets = {"none": (), f"{FEW} tasks": sorted(drawn[:FEW]), f"all {len(drawn)} tasks": sorted(drawn)}
    return {label: mixed(at, tasks, label_share=at.case.tags["share"]) for label, tasks in sets.items()}


def contrasts(case: Case, labels: Sequence[str]) -> list[Contrast]:
    """What other tasks are worth, and what more of them are."""
    none, few, every = labels
    return [Contrast(arm=few, against=none), Contrast(arm=every, against=none), Contrast(arm=every, against=few)]
