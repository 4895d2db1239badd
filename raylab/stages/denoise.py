"""Pretraining on the corpus: predict what a masking policy hides (our reading of Ye et al. 2021; BART, T5, BERT, RoBERTa)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from raylab.errors import UserError
from raylab.masking.corrupt import Batch, corrupt
from raylab.masking.policy import Mask, Passages
from raylab.models.flops import CostModel
from raylab.models.headed import body_of
from raylab.models.masked_lm import masked_loss
from raylab.stages._masked import MaskedReading, Reading, asking, in_place
from raylab.training.batching import MicroBatch, step_batch
from raylab.training.context import Context
from raylab.training.loop import StepBatch, Training, sequence_loss, train
from raylab.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Denoise(MaskedReading):
    """Train on the corpus to restore hidden tokens.

    target: what is asked. Of an encoder-decoder, "spans", the hidden spans alone, or "sentence", the whole passage; of an
    encoder, "tokens", every hidden token in its place: BERT's and RoBERTa's masking is
    `Uniform(rate=0.15, random_share=0.1, keep_share=0.1)`.
    """

    target: Literal["spans", "sentence", "tokens"] = "spans"

    def run(self, model: nn.Module, context: Context) -> Iterator[Progress]:
        """Train `model` in place. Yields a Progress a step; raises Diverged, OutOfMemory."""
        training = Training(
            stage=context.stage, steps=self.steps(context), batches=self.batches(model, context),
            optimization=self.optimization, seed=context.seeds.mask, precision=context.precision,
            uniform_loss=math.log(len(context.data.tokenizer)), loss=masked_loss if self.target == "tokens" else _written_loss,
        )  # fmt: skip
        yield from train(model, training, context.parallel, context.checkpoints, context.memory)

    def batches(self, model: nn.Module, context: Context) -> Callable[[int], StepBatch]:
        """The masked global batch of a step."""
        return _Batches(self, model, context)


def _written_loss(model: nn.Module, batch: MicroBatch) -> torch.Tensor:
    return sequence_loss(body_of(model), batch)


def _check(target: str, body: PreTrainedModel) -> None:
    """Raise UserError for a target that the body cannot be asked."""
    if (target == "tokens") == body.config.is_encoder_decoder:
        kind, expected = ("n encoder", "'tokens'") if target != "tokens" else ("n encoder-decoder", "'spans' or 'sentence'")
        raise UserError(
            f"denoise's target is {target!r}, but a {body.config.model_type} model is a{kind}; set target to {expected}."
        )


class _Batches:
    """The masked global batch of a step, as a function of the step alone."""

    def __init__(self, stage: Denoise, model: nn.Module, context: Context) -> None:
        _check(stage.target, body_of(model))
        self.stage, self.context = stage, context
        self.reading = Reading(stage, context)
        self.cost = CostModel.of(model)

    def __call__(self, step: int) -> StepBatch:
        passages, mask = self.reading(step)
        batch = self._corrupted(passages, mask)
        read, masking_s = len(passages.tokens_N), self.reading.masking_s
        return step_batch(batch, self.context.parallel, self.cost, read, self.stage.micro_batch, masking_s)

    def _corrupted(self, passages: Passages, mask: Mask) -> Batch:
        data, target = self.context.data, self.stage.target
        if target == "tokens":
            return in_place(passages, mask, data, self.stage.policy)
        return asking(corrupt(passages, mask, data.symbols, target, data.max_tokens + 1), least=2)  # the end symbol is one
