"""Initialisation from a checkpoint's statistics, in place of pretraining (Wu, Li and Liang 2022; raylab.models.statistics)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from raylab.errors import UserError
from raylab.models.build import checkpoint
from raylab.models.headed import body_of
from raylab.models.statistics import Form, Grouping, lacking, measured, redraw, set_norms
from raylab.recipe import Stage, knob
from raylab.training.context import Context
from raylab.training.loop import StepBatch
from raylab.training.progress import Progress

ITSELF = "itself"


@dataclass(frozen=True, kw_only=True, slots=True)
class InitFromStatistics(Stage):
    """Draw the model's weights anew from a checkpoint's statistics; it takes no step. Token embeddings stay as they are.

    source: a folder or a Hub name, to be reached wherever runs run, as a base model's; of the same architecture as the model, if
    not of its size; or "itself": what the stages before have made of the model, of which then nothing else is kept. grouping:
    what has a mean and a deviation of its own: "parameter" (each), "layer" (in each layer the products, the norms, ...), "role"
    (the same place in all layers), "whole_model" (all products, all norms, ...), or, of the norms before attention alone, each
    ("pre_attention_norm"); "constant_norm" needs no source, it sets those to `constant`. form: "mean_std", normal distributions
    with both; "scale", norms become their mean, all others get the mean 0: the paper's whole-model scale is that of
    "whole_model".
    """

    source: str | None = None
    grouping: Grouping = "parameter"
    form: Form = "mean_std"
    constant: float = knob(0.4, choices=(0.05, 0.1, 0.2, 0.4, 0.6, 0.8))

    def __post_init__(self) -> None:
        if (self.source is None) != (self.grouping == "constant_norm"):
            expected = "none, as nothing is measured" if self.grouping == "constant_norm" else "a checkpoint to measure"
            raise UserError(f"the source of the statistics is {self.source!r}; expected {expected} (grouping {self.grouping!r}).")
        if self.constant <= 0:
            raise UserError(f"constant is {self.constant}; expected a positive number, e.g. 0.4.")

    def run(self, model: nn.Module, context: Context) -> Iterator[Progress]:
        """Change `model` in place, the same on every worker. Yields nothing; raises UserError for a source that does not fit."""
        with context.parallel.together():
            self._draw(body_of(model), context.seeds.init)
        yield from ()

    def _draw(self, body: PreTrainedModel, seed: int) -> None:
        if self.source is None:
            set_norms(body, self.constant)
            return
        if self.source == ITSELF:
            moments = measured(body, self.grouping)
            body.load_state_dict(_begun(body, seed).state_dict())
            redraw(body, moments, self.grouping, self.form, seed)
            return
        source = checkpoint(self.source)
        _check_architecture(self.source, source, body)
        try:
            redraw(body, measured(source, self.grouping), self.grouping, self.form, seed)
        except UserError as error:
            raise UserError(f"{self.source} {error}; take a source of as many layers, or grouping 'whole_model'.") from error

    def reads(self, context: Context) -> Sequence[int]:
        """It takes no step."""
        return []

    def batches(self, model: nn.Module, context: Context) -> Callable[[int], StepBatch]:
        """There are none."""
        raise IndexError("initialisation from statistics takes no step")


def _begun(body: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A model like this one with the random weights that a run of that seed begins from (raylab.models.build)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return type(body)(body.config)


def _check_architecture(name: str, source: PreTrainedModel, body: PreTrainedModel) -> None:
    """Raise UserError unless both are of one architecture, naming parameters that differ."""
    if source.config.model_type == body.config.model_type:
        return
    theirs = dict(source.named_parameters())
    differing = [own for own, _ in body.named_parameters() if own not in theirs]
    raise UserError(
        f"{name} is a {source.config.model_type} model, no {body.config.model_type} one: it {lacking(differing)}. "
        "Take a source of the model's own architecture."
    )
