"""Policies that a study learns before its trials: once, under the study's seed, and counted beside the trials.

In the ledger each is a run of the role "learn", whose key is the product's: its tokens, operations and seconds are summed,
capped, tracked and told like those of any other run. What was learned before is found again, and counts all the same: a
reader is to see what the policy cost.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raylab.data.annotations.learned import Learned as LearnedSpans
from raylab.data.prepared import Prepared
from raylab.masking.learned.card import read
from raylab.masking.learned.product import Learner, learned
from raylab.masking.policies.learned import Learned
from raylab.masking.policies.random_spans import RandomSpans
from raylab.masking.policies.salient import Salient
from raylab.masking.policy import Policy
from raylab.recipe import Recipe, encode
from raylab.search.ledger import Ledger, Run, Study
from raylab.training.progress import Progress

LEARN = "learn"  # the role


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """A policy that is learned for a study. name: as the space knows it. key: the product's. tokens, flops: what it takes,
    known before, right within a factor."""

    name: str
    key: str
    how: Learner
    seed: int
    tokens: float
    flops: float
    within: float = 1.0

    def due(self, study: Study) -> bool:
        """Whether the ledger does not tell of it yet."""
        run: Run | None = study.runs.get(self.key)
        return run is None or run.state != "finished"

    def run(self, data: Prepared, study: Study, ledger: Ledger) -> Generator[Progress, None, None]:
        """Learn it, let it read the corpus, and write both to the ledger. Raises as `Learner.learn`."""
        recipe = {"stages": [], "learn": {"name": self.name, **encode(self.how)}}
        asked = {"role": LEARN, "replicate": 0, "trial": None, "recipe": recipe, "values": {}}
        study.apply(ledger.append("run", key=self.key, label=f"{self.name} masking, learned", **asked))
        study.apply(ledger.append("start", key=self.key, lane=0, attempt=1))
        folder = yield from learned(self.how, data, self.seed, data.folder.parents[1])
        data.corpus.annotate(LearnedSpans(product=self.key))
        card = read(folder)
        metrics = {"tokens": card.cost["tokens"], "flops": card.cost["flops"], **_measures(card.evidence)}
        seconds = {"policy": card.cost["seconds"], "total": card.cost["seconds"]}
        study.apply(ledger.append("end", key=self.key, state="finished", metrics=metrics, scores={}, seconds=seconds))


def _measures(evidence: Mapping[str, Any]) -> dict[str, float]:
    """The card's evidence as metrics of a run."""
    return {name.replace(" ", "_"): found["value"] for name, found in evidence.items() if "value" in found}


def before_learning(recipe: Recipe) -> Recipe:
    """A recipe that costs the same and can be tried before its policy is learned: masking with a learned policy costs what
    salient masking costs, as both read spans that were found before."""
    stages = tuple(
        replace(stage, policy=_standing_in(stage.policy)) if hasattr(stage, "policy") else stage  # type: ignore[type-var]
        for stage in recipe.stages
    )
    return replace(recipe, stages=stages)


def _standing_in(policy: Policy) -> Policy:
    if isinstance(policy, RandomSpans):
        return replace(policy, of=_standing_in(policy.of))
    return Salient(spans=policy.spans) if isinstance(policy, Learned) else policy
