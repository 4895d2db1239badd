"""How much of what pretraining on text gains do synthetic tasks give, which mean nothing?

After Wu, Li and Liang 2022 (arXiv 2206.10139): the share of the gain over random weights that LIME, Set and Identity keep,
on each task, and over them as the mean of ratios and as the ratio of means. All arms read as many input tokens; the paper
pretrains each task until it is learned, and its natural pretraining is T5's. Natural text is here the corpus of the
questions themselves, under span corruption.
"""

from raylab.masking.policies.span_corruption import SpanCorruption
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case
from raylab.search.comparison.derived import benefits
from raylab.search.comparison.results import Results, Section
from raylab.search.comparison.small import writing_tasks
from raylab.stages.synthesize import Synthesize
from raylab.synthetic.task import SyntheticTask

REFERENCE = "none"
SYNTHETIC = ("identity", "set", "lime")


def cases(asked: Asked) -> list[Case]:
    """Tasks whose answers are written."""
    return writing_tasks(asked)


def arms(at: At) -> dict[str, Recipe]:
    """From random weights, after each synthetic task, after natural text."""
    synthetic = {name: at.recipe(Synthesize(task=SyntheticTask.registry.get(name)(), **at.reading)) for name in SYNTHETIC}
    return {"none": at.recipe(), **synthetic, "natural": at.masked(SpanCorruption())}


def derived(results: Results) -> list[Section]:
    """Each synthetic task's share."""
    return [benefits(results, SYNTHETIC, none="none", whole="natural")]
