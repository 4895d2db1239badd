"""Which share of pretraining's gain is kept by no more than the means and deviations of its weights?

After Wu, Li and Liang 2022 (arXiv 2206.10139): a model is pretrained, then all its weights are drawn anew from their statistics,
by groups from fine to coarse; token embeddings are those from before. Last, without any pretraining, all norms before attention
are set to one constant (the paper's 0.4). Shares of the gain over random weights: on each task, and over them as the mean of
ratios and as the ratio of means. In the paper natural pretraining is T5's; here it reads the corpus of the questions themselves.
"""

from raylab.masking.policies.span_corruption import SpanCorruption
from raylab.recipe import Recipe
from raylab.search.comparison.declared import Asked, At, Case
from raylab.search.comparison.derived import benefits
from raylab.search.comparison.results import Results, Section
from raylab.search.comparison.small import writing_tasks
from raylab.stages.denoise import Denoise
from raylab.stages.init_from_statistics import ITSELF, InitFromStatistics

REFERENCE = "none"
STATISTICS = {
    "each parameter": InitFromStatistics(source=ITSELF, grouping="parameter"),
    "each layer": InitFromStatistics(source=ITSELF, grouping="layer"),
    "each role": InitFromStatistics(source=ITSELF, grouping="role"),
    "whole model's scale": InitFromStatistics(source=ITSELF, grouping="whole_model", form="scale"),
    "norms before attention": InitFromStatistics(source=ITSELF, grouping="pre_attention_norm"),
}
CONSTANT = InitFromStatistics(grouping="constant_norm")


def cases(asked: Asked) -> list[Case]:
    """Tasks whose answers are written."""
    return writing_tasks(asked)


def arms(at: At) -> dict[str, Recipe]:
    """From random weights, from each kind of statistics, from the pretrained model."""
    natural = Denoise(policy=SpanCorruption(), **at.reading)
    drawn = {name: at.recipe(natural, statistics) for name, statistics in STATISTICS.items()}
    return {"none": at.recipe(), **drawn, "constant norms": at.recipe(CONSTANT), "natural": at.recipe(natural)}


def derived(results: Results) -> list[Section]:
    """The share that each kind of statistics keeps."""
    return [benefits(results, [*STATISTICS, "constant norms"], none="none", whole="natural")]
