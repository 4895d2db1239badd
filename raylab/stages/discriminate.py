"""Pretraining on the corpus: tell which tokens a small generator has replaced (ELECTRA, Clark et al. 2020)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import nn

from raylab.errors import UserError
from raylab.masking.corrupt import IGNORED, Batch
from raylab.models.headed import body_of
from raylab.models.replaced import Detection, HiddenBatch, detection_loss
from raylab.recipe import knob
from raylab.seeds import derive
from raylab.stages._masked import MaskedReading, Reading, in_place
from raylab.training.batching import MicroBatch, StepBatch, step_batch
from raylab.training.context import Context
from raylab.training.loop import Training, train
from raylab.training.progress import Progress

SYMBOLS = 2  # set around a passage


@dataclass(frozen=True, kw_only=True, slots=True)
class Discriminate(MaskedReading):
    """Train an encoder to tell, of every token, whether it stands there or a generator has put it where one was hidden.

    The generator, a masked language model beside it, shares its token embeddings and is left behind at the end. ELECTRA's policy
    is `Uniform(rate=0.15)`. generator_share: the generator's width, of the encoder's. weight: of the detection, a token, beside
    the generator's prediction, a hidden token; the loss that is told is the sum of both.
    """

    generator_share: float = knob(0.25, choices=(0.25, 0.5))
    weight: float = 50.0

    def __post_init__(self) -> None:
        MaskedReading.__post_init__(self)
        if not 0 < self.generator_share <= 1:
            raise UserError(f"generator_share is {self.generator_share}; expected a share of the width, above 0 and at most 1.")
        if self.weight <= 0:
            raise UserError(f"weight is {self.weight}; expected a positive number, e.g. 50.")

    def run(self, model: nn.Module, context: Context) -> Iterator[Progress]:
        """Train `model` in place. Yields a Progress a step; raises Diverged, OutOfMemory, UserError for a body that writes."""
        yield from self.train(self.pair(model, context).to(context.parallel.device), context)

    def train(self, pair: Detection, context: Context) -> Iterator[Progress]:
        """Train a body with its generator and its detector in place, as `run` does."""
        training = Training(
            stage=context.stage, steps=self.steps(context), batches=_Batches(self, pair, context), loss=detection_loss,
            optimization=self.optimization, seed=context.seeds.mask, precision=context.precision,
            uniform_loss=math.log(len(context.data.tokenizer)) + self.weight * math.log(2),
        )  # fmt: skip
        yield from train(pair, training, context.parallel, context.checkpoints, context.memory)

    def batches(self, model: nn.Module, context: Context) -> Callable[[int], StepBatch]:
        """The masked global batch of a step."""
        return _Batches(self, self.pair(model, context), context)

    def pair(self, model: nn.Module, context: Context) -> Detection:
        """The model's body with its generator and its detector, drawn with the run's seed."""
        body = body_of(model)
        if body.config.is_encoder_decoder:
            raise UserError(f"discriminate trains an encoder, but a {body.config.model_type} model also writes; take an encoder.")
        seed = derive(context.seeds.init, "generator", context.stage)
        return Detection(body, self.generator_share, context.data.max_tokens + SYMBOLS, seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step(StepBatch):
    """A global batch with the draws that decide what is put in the place of this worker's hidden tokens."""

    draws_BU: np.ndarray
    weight: float

    def micro_batches(self, rows: int = 0) -> Iterator[MicroBatch]:
        """As those of any step, each with its draws."""
        size = rows or self.micro_batch
        for i, micro in zip(count(0, size), StepBatch.micro_batches(self, rows), strict=False):
            draws_BU = torch.from_numpy(self.draws_BU[i : i + size, : micro.labels_BU.shape[1]]).to(self.device)
            yield HiddenBatch(**_fields(micro), draws_BU=draws_BU, weight=self.weight)


def _fields(value: MicroBatch | StepBatch) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


class _Batches:
    """The masked global batch of a step, as a function of the step alone."""

    def __init__(self, stage: Discriminate, pair: Detection, context: Context) -> None:
        self.stage, self.context = stage, context
        self.reading = Reading(stage, context)
        self.generator, self.discriminator = pair.costs()

    def __call__(self, step: int) -> StepBatch:
        passages, mask = self.reading(step)
        batch = in_place(passages, mask, self.context.data, self.stage.policy)
        read, masking_s = len(passages.tokens_N), self.reading.masking_s
        plain = step_batch(batch, self.context.parallel, self.generator, read, self.stage.micro_batch, masking_s)
        rows, parallel = len(batch.input_ids_BT), self.context.parallel
        detection = self.discriminator.training_flops(plain.input_tokens, 0, plain.input_tokens / rows, 0)
        return _Step(
            **_fields(replace(plain, flops=plain.flops + detection)),
            draws_BU=self._draws(batch, step)[parallel.shard(rows) if parallel.rank < rows else slice(1)],
            weight=self.stage.weight * plain.target_tokens / max(1, _detected(batch)),
        )

    def _draws(self, batch: Batch, step: int) -> np.ndarray:
        rng = np.random.default_rng(derive(self.context.seeds.mask, "replacements", step))
        return rng.random(batch.labels_BU.shape, dtype=np.float32)


def _detected(batch: Batch) -> int:
    """Tokens of the rows in which any is hidden: those that are told original or replaced."""
    return int(batch.attention_BT[(batch.labels_BU != IGNORED).any(axis=1)].sum())
