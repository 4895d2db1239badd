"""The masking space, and among its policies one that kills its lane: always the same recipe, so that only its first trial
costs three lanes, and every other is answered by that one."""

from typing import Any

from raylab.masking.policy import Policy
from raylab.recipe import Recipe
from raylab.search.space import Chooser, Setting, load_space
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune

_MASKING = load_space("masking")
POISON = "poison"

BASELINE = _MASKING.baseline_family
family, baseline, plain = _MASKING.family, _MASKING.baseline, _MASKING.plain


def recipe(choose: Chooser, setting: Setting) -> Recipe:
    """One of the masking space, or the one that kills."""
    if choose.option("policy", setting.policies) != POISON:
        return _MASKING.recipe(choose, setting)
    denoise = Denoise(policy=Policy.registry.get(POISON)(), budget_tokens=setting.budget_tokens, batch_size=setting.batch_size)
    finetune = Finetune(steps=setting.finetune_steps, batch_size=setting.batch_size)
    return Recipe(base=setting.base, stages=(denoise,), task=setting.task, finetune=finetune)


def starts(setting: Setting) -> list[dict[str, Any]]:
    """The masking space's own; the first is harmless."""
    return _MASKING.starts(setting)
