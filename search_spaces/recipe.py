"""Pretrain on what, or not at all? And what is trained, how far?

Searched: the base model (a transformer, or a BiLSTM where the task has a head); what it is pretrained on, from nothing over
the task's own text (by restoring hidden tokens, or by telling which tokens a generator has replaced) to a synthetic task;
of a checkpoint also, what its weights' statistics are worth without the weights; whether the finetuning trains all weights or
a head on frozen features alone, and how fast. After Krishna et al. (self-pretraining), Wu, Li and Liang (synthetic tasks and
statistics), Wang, Khabsa and Ma (not pretraining) and Peters et al. (to tune or not); our reading.

Recipes that begin alike share their pretraining, so that another finetuning of it costs little.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raylab.masking.policies.uniform import Uniform
from raylab.models.build import is_encoder_decoder
from raylab.models.rates import pretraining_rates
from raylab.recipe import ModelSpec, Recipe, Stage
from raylab.search.space import Chooser, Setting
from raylab.stages.denoise import Denoise
from raylab.stages.discriminate import Discriminate
from raylab.stages.finetune import Finetune
from raylab.stages.init_from_statistics import InitFromStatistics
from raylab.stages.synthesize import Synthesize
from raylab.synthetic.task import SyntheticTask
from raylab.training.objective import Objective
from raylab.training.optimizer import Optimization

BASELINE = "no pretraining"
SYNTHETIC = ("set", "identity", "lime")
USUAL = Finetune().optimization
RATES = (5e-4, 1e-3, 2e-3, 4e-3)


def recipe(choose: Chooser, setting: Setting) -> Recipe:
    """Draw one recipe."""
    bases = _bases(setting)
    kind = choose.option("pretraining", [kind for kind in ("none", *PRETRAINING) if _fitting(kind, bases)])
    fitting = _fitting(kind, bases)
    base = fitting[choose.option("base", tuple(fitting))]
    stages = () if kind == "none" else (PRETRAINING[kind](choose, setting, base),)
    finetune = Finetune(
        steps=setting.finetune_steps, batch_size=setting.batch_size,
        mode=choose.option("mode", ("full", "frozen") if _has_head(setting) else ("full",)),
        optimization=replace(
            USUAL, learning_rate=choose.number("finetune_learning_rate", 5e-4, 1e-2, default=USUAL.learning_rate, log=True)
        ),
    )  # fmt: skip
    return Recipe(base=base, stages=stages, task=setting.task, finetune=finetune)


def _has_head(setting: Setting) -> bool:
    """Whether the task asks for a head on the model, and not for texts."""
    return not Objective.registry.get(setting.task_family).writes


def _bases(setting: Setting) -> dict[str, ModelSpec]:
    """The model asked for; where the task has a head, also a BiLSTM, and of random weights an encoder-decoder."""
    given = "checkpoint" if setting.base.pretrained else setting.base.family
    others = (("lstm",) if setting.base.pretrained else ("t5", "lstm")) if _has_head(setting) else ()
    return {
        given: setting.base,
        **{name: replace(setting.base, family=name, pretrained=None) for name in others if name != given},
    }


def _fitting(kind: str, bases: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
    """The base models that can be pretrained in this way."""
    match kind:
        case "discriminate":
            return {name: base for name, base in bases.items() if not is_encoder_decoder(base) and name != "lstm"}
        case "synthesize":
            return {name: base for name, base in bases.items() if is_encoder_decoder(base)}
        case "statistics":
            return {name: base for name, base in bases.items() if base.pretrained}
    return dict(bases)


def _denoise(choose: Chooser, setting: Setting, base: ModelSpec) -> Stage:
    target: Any = "spans" if is_encoder_decoder(base) else "tokens"
    name = choose.option("policy", policies := _policies(setting), "uniform" if "uniform" in policies else None)
    policy, given = setting.policy(name)
    return Denoise(
        policy=policy(**given, **choose.knobs(name, policy)), target=target,
        **_reading(choose, setting, pretraining_rates(base).usual),
    )  # fmt: skip


def _reading(choose: Chooser, setting: Setting, usual_rate: float) -> dict[str, Any]:
    """What every stage that reads has: of a few learning rates one, so that recipes may still begin alike."""
    rate = choose.option("learning_rate", RATES, usual_rate)
    sizes = {"budget_tokens": setting.budget_tokens, "batch_size": setting.batch_size}
    return {**sizes, "optimization": Optimization(learning_rate=rate)}


def _policies(setting: Setting) -> list[str]:
    """Those that every base model can be asked with."""
    writes = all(map(is_encoder_decoder, _bases(setting).values()))
    return [name for name in setting.policies if writes or not setting.policy(name)[0].inserts]


def _discriminate(choose: Chooser, setting: Setting, base: ModelSpec) -> Stage:
    return Discriminate(policy=Uniform(), **_reading(choose, setting, pretraining_rates(base).usual))


def _synthesize(choose: Chooser, setting: Setting, base: ModelSpec) -> Stage:
    task = SyntheticTask.registry.get(choose.option("synthetic", SYNTHETIC))
    return Synthesize(task=task(), **_reading(choose, setting, 2e-3))


def _statistics(choose: Chooser, setting: Setting, base: ModelSpec) -> Stage:
    grouping: Any = choose.option("grouping", ("parameter", "layer", "role", "whole_model"))
    return InitFromStatistics(source=base.pretrained, grouping=grouping)


PRETRAINING = {"denoise": _denoise, "discriminate": _discriminate, "synthesize": _synthesize, "statistics": _statistics}


def family(recipe: Recipe) -> str:
    """What is pretrained on: "no pretraining", "denoise", "synthesize set", ..."""
    if not recipe.stages:
        return BASELINE
    (stage,) = recipe.stages
    return " ".join([stage.name(), *([stage.task.name()] if isinstance(stage, Synthesize) else [])])


def baseline(recipe: Recipe, setting: Setting) -> Recipe:
    """The same base model, finetuned in the same way without pretraining."""
    return plain(recipe)


def plain(recipe: Recipe) -> Recipe:
    """The same."""
    return replace(recipe, stages=())


def starts(setting: Setting) -> list[dict[str, str]]:
    """Every way to pretrain once, with each synthetic task; then what else there is to choose of, without pretraining."""
    bases = _bases(setting)
    ways = [{"pretraining": kind} for kind in ("none", "denoise", "discriminate", "statistics") if _fitting(kind, bases)]
    synthetic = [{"pretraining": "synthesize", "synthetic": task} for task in SYNTHETIC if _fitting("synthesize", bases)]
    plain = [{"pretraining": "none", "base": name} for name in list(bases)[1:]]
    frozen = [{"pretraining": "denoise", "mode": "frozen"}] if _has_head(setting) else []
    return [*ways, *synthetic, *plain, *frozen]
