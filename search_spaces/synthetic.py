"""Which synthetic task is worth pretraining on, on how many symbols, and how fast?

Searched: the task (all that raylab.synthetic knows), the number of tokens that sequences are made of, the learning rate. After
Wu, Li and Liang 2022, who find set and LIME the best of theirs. The baseline is identity: a verdict for another task says that
what the task asks matters, and not only that something was learned; beside it stands the same finetuning without pretraining.
"""

from dataclasses import replace

from raylab.errors import UserError
from raylab.models.build import is_encoder_decoder
from raylab.recipe import Recipe
from raylab.search.space import Chooser, Setting
from raylab.stages.finetune import Finetune
from raylab.stages.synthesize import Synthesize
from raylab.synthetic.task import SyntheticTask
from raylab.training.optimizer import Optimization

BASELINE = "identity"
FIRST = (BASELINE, "set", "lime")


def recipe(choose: Chooser, setting: Setting) -> Recipe:
    """Draw one recipe."""
    if not is_encoder_decoder(setting.base):
        raise UserError(
            "synthetic tasks are written by a decoder, and the base model has none. Take --family t5 or bart, or such a "
            "checkpoint with --base."
        )
    task = SyntheticTask.registry.get(choose.option("task", _tasks()))
    synthesize = Synthesize(
        task=task(), budget_tokens=setting.budget_tokens, batch_size=setting.batch_size,
        symbols=choose.option("symbols", (0, 100)),
        optimization=Optimization(learning_rate=choose.number("learning_rate", 5e-4, 1e-2, default=2e-3, log=True)),
    )  # fmt: skip
    finetune = Finetune(steps=setting.finetune_steps, batch_size=setting.batch_size)
    return Recipe(base=setting.base, stages=(synthesize,), task=setting.task, finetune=finetune)


def _tasks() -> tuple[str, ...]:
    """Those the paper says most of first, so that a short search has them."""
    return (*FIRST, *(name for name in SyntheticTask.registry.names() if name not in FIRST))


def family(recipe: Recipe) -> str:
    """The synthetic task's name; "none" without pretraining."""
    return recipe.stages[0].task.name() if recipe.stages else "none"  # type: ignore[attr-defined]


def baseline(recipe: Recipe, setting: Setting) -> Recipe:
    """The same recipe with the simplest task."""
    stage = replace(recipe.stages[0], task=SyntheticTask.registry.get(BASELINE)())  # type: ignore[type-var]
    return replace(recipe, stages=(stage,))


def plain(recipe: Recipe) -> Recipe:
    """The same finetuning of the base model, without pretraining."""
    return replace(recipe, stages=())


def starts(setting: Setting) -> list[dict[str, str]]:
    """Every task once with the default symbols and rate, so that none is judged unseen."""
    return [{"task": name} for name in _tasks()]
