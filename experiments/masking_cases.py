"""In which cases does intermediate pretraining help at all: which policy, on which corpus, asked in which format?

After Ye et al. 2021 (arXiv 2104.08840), whose findings (abstracts) are that success depends on the corpus of pretraining and on
the format of its output; how the two formats ask is our reading: the hidden spans alone, or the whole passage. Every policy
reads equally many corpus tokens in a case; the full passage as a target costs more operations for as many tokens, which the
tables show. Of the whole corpus, less is read more than once than of a quarter of it.
"""

from collections.abc import Sequence

from raylab.masking.policies.oracle import Oracle
from raylab.masking.policies.salient import Salient
from raylab.masking.policies.span import Span
from raylab.masking.policies.uniform import Uniform
from raylab.masking.policy import Policy
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case, Contrast
from raylab.search.comparison.results import Results, Section
from raylab.search.comparison.words import told_difference

REFERENCE = "none"
POLICIES: dict[str, Policy] = {"uniform": Uniform(), "span": Span(), "salient": Salient(), "oracle": Oracle()}
CORPORA: dict[str, tuple[tuple[str, float], ...]] = {  # by questions: whose passages, and which share of them is used
    "triviaqa": (("wiki_vital4", 1.0), ("wiki_vital4", 0.25), ("wikitext2", 1.0)),
}


def cases(asked: Asked) -> list[Case]:
    """Questions x corpus x format: the built-in atlas, all of it or a quarter; with a folder of data TriviaQA's questions over
    Wikipedia's lead sections, or over WikiText, which holds few of the answers."""
    names = asked.datasets or (("atlas",) if asked.data_dir is None else ("triviaqa",))
    found = []
    for name in names:
        for corpus, share in CORPORA.get(name, ((asked.corpus or "", 1.0), (asked.corpus or "", 0.25))):
            data, told = (
                asked.data(name, corpus=corpus or None),
                f"{corpus or 'own corpus'}{'' if share == 1 else f', {share:.0%}'}",
            )
            tags = {"share": share}
            found += [Case(name=f"{name}, {told}, {t}", data=data, tags={**tags, "target": t}) for t in ("spans", "sentence")]
    return found


def arms(at: At) -> dict[str, Recipe]:
    """Finetuning alone, and after each policy in the case's format on its share of the corpus."""
    target, share = at.case.tags["target"], at.case.tags["share"]
    made = {name: at.masked(policy, target=target, corpus_share=share) for name, policy in POLICIES.items()}
    return {"none": at.recipe(), **made}


def contrasts(case: Case, labels: Sequence[str]) -> list[Contrast]:
    """Does it help at all, and does it matter what is hidden?"""
    return [
        *(Contrast(arm=name, against="none") for name in POLICIES),
        *(Contrast(arm=name, against="uniform") for name in POLICIES if name != "uniform"),
    ]


def derived(results: Results) -> list[Section]:
    """Policy by case: what pretraining changes."""
    rows = [
        (policy, *(told_difference(results.difference(case, policy, "none"), 2) for case in results.cases)) for policy in POLICIES
    ]
    note = "Less is better. Each interval is one of 95 % by itself; the list above allows for how many there are."
    columns = ("policy", *(case.name for case in results.cases))
    return [Section(title="Difference from no intermediate pretraining", columns=columns, rows=tuple(rows), note=note)]
