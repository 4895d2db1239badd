"""Does a masking policy learned on one task help on another?

After Ye et al. 2021 (arXiv 2104.08840): policies learned on one task can transfer positively to others in certain cases. Source
by target: a policy is learned by supervision on the source's questions, anew for every seed, and decides what the target's
intermediate pretraining hides; finetuning and scores are the target's. All tasks are read through one tokenizer, over one
corpus, so that the policy of one fits the others.

On the built-in atlas the tasks are groups of kinds of questions over the same passages; with a folder of data TriviaQA, NQ-open
and WebQuestions over Wikipedia's lead sections.
"""

from collections.abc import Sequence

from raylab.masking.learned.supervised import Supervised
from raylab.masking.policies.salient import Salient
from raylab.masking.policies.uniform import Uniform
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case, Contrast
from raylab.search.comparison.learning import learned
from raylab.search.comparison.results import Results, Section
from raylab.search.comparison.words import told_difference

REFERENCE = "uniform"
QUESTIONS = ("triviaqa", "nq_open", "webquestions")
CORPUS = "wiki_vital4"
GROUPS = {
    "years": ("independence_year", "anthem_year", "constitution_year", "discovery_year", "joined_year", "status_year"),
    "names": ("former_name", "meaning", "name_language", "capital_meaning", "capital_namesake", "namesake", "element_namesake"),
    "places": ("capital", "region", "coast", "neighbour", "ocean", "highest_point", "capital_language"),
}


def cases(asked: Asked) -> list[Case]:
    """The targets, which are the sources as well."""
    if asked.data_dir is None:
        atlas = asked.data("atlas")
        return [Case(name=name, data=atlas, kinds=kinds, tokenizer_of=atlas) for name, kinds in GROUPS.items()]
    names = asked.datasets or QUESTIONS
    first = asked.data(names[0], corpus=CORPUS)
    return [Case(name=name, data=asked.data(name, corpus=CORPUS), tokenizer_of=first) for name in names]


def arms(at: At) -> dict[str, Recipe]:
    """Heuristics, and the policy of every source: of the target itself, too."""
    policies = {f"from {source.name}": learned(at, Supervised(), at.data_of(source)) for source in cases(at.asked)}
    made = {name: at.masked(policy) for name, policy in policies.items()}
    heuristics = {"uniform": Uniform(), "salient": Salient()}
    return {"none": at.recipe(), **{n: at.masked(p) for n, p in heuristics.items()}, **made}


def contrasts(case: Case, labels: Sequence[str]) -> list[Contrast]:
    """A policy of each source against the baseline."""
    return [Contrast(arm=label, against=REFERENCE) for label in labels if label.startswith("from ")]


def derived(results: Results) -> list[Section]:
    """The matrix."""
    arms = [arm for arm in results.arms(results.cases[0]) if arm not in ("none", "uniform")]
    rows = [(arm, *(told_difference(results.difference(case, arm, "uniform"), 2) for case in results.cases)) for arm in arms]
    note = "Rows: where the policy comes from; columns: where it is used. Less is better; each interval is one of 95 % by itself."
    columns = ("policy", *(case.name for case in results.cases))
    return [Section(title="Difference from uniform masking, by source and target", columns=columns, rows=tuple(rows), note=note)]
