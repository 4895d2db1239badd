"""Which tokens should intermediate pretraining hide, how should they be asked for, and how fast should it learn?

Searched: the masking policy and its own knobs, the target (hidden spans or the full sentence; of an encoder hidden tokens
in their places), the share of the corpus, the learning rate. After Ye et al. 2021 (our reading): the three things their
results turn on are the policy, the output format and the corpus.
"""

from dataclasses import replace

from raylab.masking.policy import Policy
from raylab.models.build import is_encoder_decoder
from raylab.models.rates import pretraining_rates
from raylab.recipe import Recipe
from raylab.search.space import Chooser, Setting
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.optimizer import Optimization

BASELINE = "uniform"
LEARNED = ("supervised",)
FIRST = (BASELINE, "salient", *LEARNED)
# A full sentence has several times the target tokens of the hidden spans; reading fewer passages makes a trial of
# either target cost about the same operations, so that the search compares what equal compute buys.
SENTENCE_BUDGET = 0.4


def recipe(choose: Chooser, setting: Setting) -> Recipe:
    """Draw one recipe."""
    rates = pretraining_rates(setting.base)
    name = choose.option("policy", setting.policies)
    policy, given = setting.policy(name)
    target = choose.option("target", ("spans", "sentence") if is_encoder_decoder(setting.base) else ("tokens",))
    budget = round(SENTENCE_BUDGET * setting.budget_tokens) if target == "sentence" else setting.budget_tokens
    denoise = Denoise(
        policy=policy(**given, **choose.knobs(name, policy)),
        target=target,
        budget_tokens=budget,
        corpus_share=choose.option("corpus_share", (1.0, 0.5)),
        batch_size=setting.batch_size,
        optimization=Optimization(
            learning_rate=choose.number("learning_rate", rates.low, rates.high, default=rates.usual, log=True)
        ),
    )
    finetune = Finetune(steps=setting.finetune_steps, batch_size=setting.batch_size)
    return Recipe(base=setting.base, stages=(denoise,), task=setting.task, finetune=finetune)


def family(recipe: Recipe) -> str:
    """The masking policy's name, of a learned one how it was learned; "none" without a pretraining stage."""
    if not recipe.stages:
        return "none"
    policy = recipe.stages[0].policy  # type: ignore[attr-defined]
    return getattr(policy, "learner", "") or policy.name()


def baseline(recipe: Recipe, setting: Setting) -> Recipe:
    """The same recipe with uniform masking at its default rate."""
    stage = replace(recipe.stages[0], policy=Policy.registry.get(BASELINE)())  # type: ignore[type-var]
    return replace(recipe, stages=(stage,))


def plain(recipe: Recipe) -> Recipe:
    """The same finetuning of the base model, without intermediate pretraining."""
    return replace(recipe, stages=())


def starts(setting: Setting) -> list[dict[str, str]]:
    """Every policy once with its own defaults, so that none is judged unseen; the baseline and the heuristic of prior
    work first, so that a short search has them."""
    ordered = sorted(setting.policies, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    return [{"policy": name} for name in ordered]
