"""Base models and tasks that several studies take where a person names none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from raylab.recipe import ModelSpec, Recipe
from raylab.search.comparison.declared import Asked, At, Case
from raylab.stages.pre_finetune import PreFinetune
from raylab.training.optimizer import Optimization

# of the atlas: such as a tiny encoder learns in part within the steps of a study, so that there is something to tell apart
HELD_OUT, HELD_OUT_OF_A_FOLDER = ("atlas_period", "atlas_region", "atlas_topic"), ("rte", "cola", "stsb")
MIXED = (
    "atlas_field", "atlas_order", "atlas_answered", "atlas_same", "atlas_year", "atlas_choice", "atlas_next", "atlas_span",
    "atlas_names", "atlas_entailment", "atlas_similarity",
)  # fmt: skip
MIXED_OF_A_FOLDER = (
    "ag_news", "arc_easy", "commonsenseqa", "imdb_cad", "mr", "openbookqa", "qnli", "snli_cad", "squad_xquad_en", "sst2", "subj",
    "trec_question", "wnli", "wnut17",
)  # fmt: skip


def encoder(asked: Asked) -> ModelSpec:
    """The checkpoint that was asked for, or an encoder from random weights at the scale that was."""
    return asked.base if asked.base.pretrained else replace(asked.base, family="roberta")


def writing_tasks(asked: Asked) -> list[Case]:
    """Tasks whose answers are written: questions, and titles of texts; with a folder of data, questions and summaries."""
    if asked.datasets or asked.data_dir is None:
        return [Case(name=name, data=asked.data(name)) for name in asked.datasets or ("atlas", "atlas_title")]
    return [
        Case(name="triviaqa", data=asked.data("triviaqa", corpus="wiki_vital4")),
        Case(name="scitldr", data=asked.data("scitldr")),
    ]


def held_out_tasks(asked: Asked) -> list[Case]:
    """Tasks that an encoder learns after others, none of which is among them."""
    here = asked.data_dir is None
    names = asked.datasets or (HELD_OUT if here else HELD_OUT_OF_A_FOLDER)
    sources = tuple(name for name in (MIXED if here else MIXED + MIXED_OF_A_FOLDER) if name not in names)
    return [Case(name=name, data=asked.data(name), base=encoder(asked), sources=sources) for name in names]


def mixed(at: At, tasks: Sequence[str], stage: dict[str, Any] | None = None, **finetune: Any) -> Recipe:
    """Pre-finetuning on these tasks, in proportion to their sizes, twice as long as the finetuning that follows; without a task,
    that alone. stage: other fields of the pre-finetuning. finetune: of the finetuning."""
    optimization = Optimization(learning_rate=1e-4 if at.base.pretrained else 2e-3, warmup=0.1, decay=0.4)
    steps, batch_size = 2 * at.asked.finetune_steps, at.asked.batch_size
    before = {"steps": steps, "batch_size": batch_size, "optimization": optimization, **(stage or {})}
    stages = (PreFinetune(tasks=tuple(tasks), **before),) if tasks else ()
    return at.recipe(*stages, **{"optimization": replace(optimization, decay=0.9), **finetune})
