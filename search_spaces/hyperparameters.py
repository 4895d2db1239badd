"""How should a model be finetuned: how fast, on how many examples at a time, under which schedule, with how much dropout and
weight decay?

Searched: the finetuning of one recipe, which pretrains by masking on the corpus (uniformly, or with the first of `--policies`).
Every trial begins with the same pretraining, so that it is paid once (raylab.training.stage_cache). The train split is read as
often whatever the batch size: a larger batch makes fewer steps.
"""

from dataclasses import replace

from raylab.models.build import is_encoder_decoder
from raylab.models.rates import pretraining_rates
from raylab.recipe import Recipe
from raylab.search.space import Chooser, Setting
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.optimizer import Optimization

BASELINE = "default finetuning"
USUAL = Finetune().optimization
DROPOUT = 0.4  # the most


def recipe(choose: Chooser, setting: Setting) -> Recipe:
    """Draw one recipe."""
    batch_size = choose.option("finetune_batch", (setting.batch_size, max(1, setting.batch_size // 2), 2 * setting.batch_size))
    warmup = choose.number("warmup", 0.0, 0.3, default=USUAL.warmup)
    # of what the warmup leaves: 1 falls from there on, 0 stays to the end
    decay = choose.number("decay", 0.0, 1.0, default=1.0) * (1 - warmup)
    optimization = Optimization(
        learning_rate=choose.number("learning_rate", 2e-4, 1e-2, default=USUAL.learning_rate, log=True),
        weight_decay=choose.number("weight_decay", 1e-3, 0.3, default=USUAL.weight_decay, log=True),
        warmup=warmup, decay=decay,
    )  # fmt: skip
    usual = setting.base.dropout
    dropout = choose.number("dropout", 0.0, max(DROPOUT, usual), default=usual)
    finetune = Finetune(
        steps=max(1, round(setting.finetune_steps * setting.batch_size / batch_size)), batch_size=batch_size,
        optimization=optimization, dropout=None if dropout == usual else dropout,
    )  # fmt: skip
    return Recipe(base=setting.base, stages=(_pretraining(setting),), task=setting.task, finetune=finetune)


def _pretraining(setting: Setting) -> Denoise:
    policy, given = setting.policy("uniform" if "uniform" in setting.policies else setting.policies[0])
    return Denoise(
        policy=policy(**given), target="spans" if is_encoder_decoder(setting.base) else "tokens",
        budget_tokens=setting.budget_tokens, batch_size=setting.batch_size,
        optimization=Optimization(learning_rate=pretraining_rates(setting.base).usual),
    )  # fmt: skip


def family(recipe: Recipe) -> str:
    """Whether anything of the finetuning was changed."""
    finetune = recipe.finetune
    assert isinstance(finetune, Finetune)
    held = recipe.stages[0] if recipe.stages else finetune  # pretraining has the study's batch size
    usual = Finetune(steps=finetune.steps, batch_size=held.batch_size)  # type: ignore[attr-defined]
    return BASELINE if finetune == usual else "finetuning of its own"


def baseline(recipe: Recipe, setting: Setting) -> Recipe:
    """The same pretraining, finetuned by default."""
    return replace(recipe, finetune=Finetune(steps=setting.finetune_steps, batch_size=setting.batch_size))


def plain(recipe: Recipe) -> Recipe:
    """The same finetuning without the pretraining before it."""
    return replace(recipe, stages=())


def starts(setting: Setting) -> list[dict[str, str]]:
    """The defaults first, so that a short search has them."""
    return [{}]
