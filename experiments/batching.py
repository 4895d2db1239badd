"""Must an update mix tasks?

After Aghajanyan et al. 2021 (MUPPET, section 3.3), who found updates of many tasks clearly best, then updates of one task each,
then one task after the other. All three see the same tasks in the same proportions for as many updates.
"""

from collections.abc import Sequence

from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case, Contrast
from raylab.search.comparison.small import held_out_tasks, mixed

REFERENCE = "heterogeneous"
MODES = ("heterogeneous", "batch_homogeneous", "homogeneous")


def cases(asked: Asked) -> list[Case]:
    """Three targets, each after the same tasks."""
    return held_out_tasks(asked)


def arms(at: At) -> dict[str, Recipe]:
    """The three ways, and no pre-finetuning."""
    return {**{mode: mixed(at, at.case.sources, {"batching": mode}) for mode in MODES}, "none": mixed(at, ())}


def contrasts(case: Case, labels: Sequence[str]) -> list[Contrast]:
    """Each way against the mixed one, and that against none."""
    others = [Contrast(arm=REFERENCE, against=mode) for mode in MODES[1:]]
    return [*others, Contrast(arm=REFERENCE, against="none")]
