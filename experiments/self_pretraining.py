"""Is a task's own text enough to pretrain on, from random weights and without its labels?

After Krishna et al. 2022 (arXiv 2209.14389): self-pretraining on the text of the task's train split against pretraining on
a larger general corpus, by the share of the latter's gain over random weights that it keeps. Both ways to pretrain an
encoder: by restoring hidden tokens (as RoBERTa: 15 %, anew in each epoch; 80 % of them are mask symbols, 10 % others, 10 %
themselves) and by telling which tokens a generator replaced (as ELECTRA). All arms read as many tokens, so that the smaller
corpus is read more often. The paper's corpora are larger by orders of magnitude, and so are its models.
"""

from raylab.masking.policies.uniform import Uniform
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Arm, Asked, At, Case
from raylab.search.comparison.derived import benefits
from raylab.search.comparison.results import Results, Section
from raylab.search.comparison.small import encoder
from raylab.stages.discriminate import Discriminate

REFERENCE = "none"
TASKS = ("atlas_topic", "atlas_entailment")
TASKS_OF_A_FOLDER = ("trec_question", "subj", "mr", "sst2", "ag_news", "imdb_cad")
GENERAL, GENERAL_OF_A_FOLDER = "atlas", "wiki_vital4"


def cases(asked: Asked) -> list[Case]:
    """Classification tasks, each with its own text as its corpus."""
    names = asked.datasets or (TASKS if asked.data_dir is None else TASKS_OF_A_FOLDER)
    return [Case(name=name, data=asked.data(name, corpus=name), base=encoder(asked)) for name in names]


def arms(at: At) -> dict[str, Recipe | Arm]:
    """From random weights, after either way of pretraining on either corpus."""
    general = at.asked.data(at.case.data.dataset, corpus=GENERAL if at.asked.data_dir is None else GENERAL_OF_A_FOLDER)
    restored = at.masked(Uniform(rate=0.15, random_share=0.1, keep_share=0.1), target="tokens")
    discriminated = at.recipe(Discriminate(policy=Uniform(rate=0.15), **at.reading))
    return {
        "none": at.recipe(),
        "own text, restored": restored,
        "own text, discriminated": discriminated,
        "general, restored": Arm(recipe=restored, data=general),
        "general, discriminated": Arm(recipe=discriminated, data=general),
    }


def derived(results: Results) -> list[Section]:
    """What of the general corpus's gain the own text keeps, for each way."""
    return [
        benefits(results, [f"own text, {way}"], none="none", whole=f"general, {way}") for way in ("restored", "discriminated")
    ]
