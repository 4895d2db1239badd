"""Which tokens should intermediate pretraining hide, at equal tokens and all else equal: what is likely to be asked?

Policies learned from the task against heuristics, on questions answered closed-book. After Ye et al. 2021 (arXiv 2104.08840),
our reading: a model is pretrained further on passages that hold the answers, under a masking policy, and then finetuned on
questions alone. Learned policies are learned anew for every seed, from the train split alone.

Three arms are no policies that anyone could want, and tell what the others do: `random spans` are as many and as long as those
of `supervised`, anywhere in the passage (where from how much); `meta's start` is the policy that meta-learning began from, which
takes every span to be as good as any other; `oracle` hides the answers of train questions (the most there is to know).
"""

from collections.abc import Sequence

from raylab.masking.learned.meta.config import Meta
from raylab.masking.learned.supervised import Supervised
from raylab.masking.policies.any_span import AnySpan
from raylab.masking.policies.oracle import Oracle
from raylab.masking.policies.random_spans import RandomSpans
from raylab.masking.policies.salient import Salient
from raylab.masking.policies.uniform import Uniform
from raylab.masking.policy import Policy
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case, Contrast
from raylab.search.comparison.learning import learned

REFERENCE = "uniform"


def cases(asked: Asked) -> list[Case]:
    """The built-in atlas; with a folder of data, TriviaQA's questions over Wikipedia's lead sections."""
    if asked.datasets or asked.data_dir is None:
        return [Case(name=name, data=asked.data(name)) for name in asked.datasets or ("atlas",)]
    return [Case(name="triviaqa", data=asked.data("triviaqa", corpus="wiki_vital4"))]


def arms(at: At) -> dict[str, Recipe]:
    """Every policy with its own defaults, reading the same passages in the same order."""
    supervised = learned(at, Supervised())
    policies: dict[str, Policy] = {
        "uniform": Uniform(), "salient": Salient(), "random spans": RandomSpans(of=supervised), "supervised": supervised,
        "meta's start": AnySpan(longest=Meta().longest), "meta": learned(at, Meta()), "oracle": Oracle(),
    }  # fmt: skip
    return {"none": at.recipe(), **{name: at.masked(policy) for name, policy in policies.items()}}


def contrasts(case: Case, labels: Sequence[str]) -> list[Contrast]:
    """What learning is worth, and where it stands between the heuristic of prior work and knowing the answers."""
    pairs = [("supervised", other) for other in ("uniform", "random spans", "salient", "oracle")]
    pairs += [("meta", other) for other in ("meta's start", "uniform", "salient", "oracle", "supervised")]
    return [Contrast(arm=arm, against=other) for arm, other in [*pairs, ("salient", "uniform"), ("uniform", "none")]]
