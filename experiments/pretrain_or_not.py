"""With how many labels is pretraining still worth it, against an LSTM and a transformer from scratch?

After Wang, Khabsa and Ma 2020 (arXiv 2006.08671): curves over the share of the labels. The pretrained transformer is the
one that --base names, and there is then an LSTM that begins with its token embeddings, too; without --base it is a small
one that reads the task's corpus first (restoring hidden tokens), which is far less than the paper's RoBERTa knows. The size
at which the gap falls within a point is told by the tables, or is not within these data.
"""

from collections.abc import Sequence
from dataclasses import replace

from raylab.masking.policies.uniform import Uniform
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case, Contrast
from raylab.search.comparison.gaps import gaps, speeds
from raylab.search.comparison.results import Results, Section
from raylab.search.comparison.small import encoder

REFERENCE = "lstm"
X = "labels used, %"
SHARES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def cases(asked: Asked) -> list[Case]:
    """One classification task at every share of its labels."""
    (name,) = asked.datasets[:1] or ("atlas_topic" if asked.data_dir is None else "ag_news",)
    return [
        Case(name=f"{share:.0%} of {name}", data=asked.data(name), base=encoder(asked), x=100 * share, tags={"share": share})
        for share in SHARES
    ]  # fmt: skip


def arms(at: At) -> dict[str, Recipe]:
    """The same finetuning of each model."""
    share = at.case.tags["share"]
    scratch = replace(at.base, pretrained=None, family="roberta")
    lstm = replace(scratch, family="lstm")
    found = {"lstm": at.recipe(base=lstm, label_share=share), "transformer": at.recipe(base=scratch, label_share=share)}
    if at.base.pretrained:
        embedded = replace(lstm, embeddings=at.base.pretrained)
        found["lstm, pretrained embeddings"] = at.recipe(base=embedded, label_share=share)
    stages = () if at.base.pretrained else at.masked(Uniform(rate=0.15), target="tokens").stages
    return {**found, "pretrained": at.recipe(*stages, label_share=share)}


def contrasts(case: Case, labels: Sequence[str]) -> list[Contrast]:
    """What pretraining is worth at each size, against every other model."""
    return [Contrast(arm="pretrained", against=other) for other in labels if other != "pretrained"]


def derived(results: Results) -> list[Section]:
    """Where the gap closes, and the speed of inference."""
    others = [label for label in results.arms(results.cases[0]) if label != "pretrained"]
    return [gaps(results, "pretrained", others), speeds(results, "pretrained")]
