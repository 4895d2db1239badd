"""Which tokens should intermediate pretraining hide, at equal tokens and all else equal?

The heuristics of prior work against each other and against no intermediate pretraining, on questions answered closed-book.
After Ye et al. 2021 (arXiv 2104.08840), our reading: a model is pretrained further on passages that hold the answers, under
a masking policy, and then finetuned on questions alone.
"""

from typing import Any

from raylab.masking.policies.salient import Salient
from raylab.masking.policies.span import Span
from raylab.masking.policies.uniform import Uniform
from raylab.masking.policy import Policy
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.optimizer import Optimization

REFERENCE = "uniform"
LEARNING_RATE = 4e-3  # of pretraining from random weights at this scale: the default of search_spaces/masking.py


def cases(asked: Asked) -> list[Case]:
    """The built-in atlas; with a folder of data, TriviaQA's questions over Wikipedia's lead sections."""
    if asked.datasets or asked.data_dir is None:
        return [Case(name=name, data=asked.data(name)) for name in asked.datasets or ("atlas",)]
    return [Case(name="triviaqa", data=asked.data("triviaqa", corpus="wiki_vital4"))]


def arms(at: At) -> dict[str, Recipe]:
    """Every policy with its own defaults, reading the same passages in the same order."""
    policies: dict[str, Policy] = {"uniform": Uniform(), "span": Span(), "salient": Salient()}
    return {"none": _recipe(at), **{name: _recipe(at, policy) for name, policy in policies.items()}}


def _recipe(at: At, policy: Policy | None = None) -> Recipe:
    """Intermediate pretraining under the policy, or none; then finetuning."""
    optimization = Optimization(learning_rate=LEARNING_RATE)
    sizes: Any = {"budget_tokens": at.asked.budget_tokens, "batch_size": at.asked.batch_size}
    stages = (Denoise(policy=policy, optimization=optimization, **sizes),) if policy else ()
    finetune = Finetune(steps=at.asked.finetune_steps, batch_size=at.asked.batch_size)
    return Recipe(base=at.base, stages=stages, task=at.task, finetune=finetune)
