"""Should the encoder be finetuned, or frozen with a head on a learned mix of its layers?

After Peters et al. 2019 (To Tune or Not to Tune), our reading: the same encoder, finetuned as a whole or as a source of
features. It is the one that --base names, or a small one that has read the task's corpus; beside it the small one from random
weights, whose features know nothing but what an untrained network keeps of its input.
"""

from collections.abc import Sequence
from dataclasses import replace

from raylab.masking.policies.uniform import Uniform
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case, Contrast
from raylab.search.comparison.small import encoder

REFERENCE = "tuned"
TASKS = ("atlas_topic", "atlas_entailment")
TASKS_OF_A_FOLDER = ("trec_question", "subj", "sst2", "rte", "snli_cad")


def cases(asked: Asked) -> list[Case]:
    """Classification of texts and of pairs of texts, which differed in the paper (our reading)."""
    names = asked.datasets or (TASKS if asked.data_dir is None else TASKS_OF_A_FOLDER)
    return [Case(name=name, data=asked.data(name), base=encoder(asked)) for name in names]


def arms(at: At) -> dict[str, Recipe]:
    """Pretrained and not, tuned and frozen."""
    stages = () if at.base.pretrained else at.masked(Uniform(rate=0.15), target="tokens").stages
    scratch = replace(at.base, pretrained=None, family="roberta")
    return {
        "tuned": at.recipe(*stages), "frozen": at.recipe(*stages, mode="frozen"),
        "random, tuned": at.recipe(base=scratch), "random, frozen": at.recipe(base=scratch, mode="frozen"),
    }  # fmt: skip


def contrasts(case: Case, labels: Sequence[str]) -> list[Contrast]:
    """Tune or freeze; and what pretraining gives to either."""
    pairs = (("tuned", "frozen"), ("tuned", "random, tuned"), ("frozen", "random, frozen"))
    return [Contrast(arm=arm, against=other) for arm, other in pairs]
