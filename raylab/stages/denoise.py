"""Pretraining on the corpus: predict what a masking policy hides (our reading of Ye et al. 2021; BART, T5, BERT, RoBERTa)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from raylab.data.corpus import Corpus
from raylab.errors import UserError
from raylab.masking.corrupt import IGNORED, Batch, corrupt, mlm
from raylab.masking.policy import Mask, Passages, Policy
from raylab.models.flops import CostModel
from raylab.models.headed import body_of
from raylab.models.masked_lm import masked_loss
from raylab.recipe import NOT_IN_KEY, Stage, knob
from raylab.seeds import derive
from raylab.training.batching import MicroBatch, step_batch
from raylab.training.context import Context
from raylab.training.loop import StepBatch, Training, sequence_loss, train
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Denoise(Stage):
    """Train on the corpus to restore hidden tokens, hidden anew in each epoch.

    target: what is asked. Of an encoder-decoder, "spans", the hidden spans alone, or "sentence", the whole passage; of an
    encoder, "tokens", every hidden token in its place: BERT's and RoBERTa's masking is
    `Uniform(rate=0.15, random_share=0.1, keep_share=0.1)`. budget_tokens: corpus tokens to read, counted before masking; it
    decides the number of steps. corpus_share: the fraction of the passages that is used.
    """

    policy: Policy
    target: Literal["spans", "sentence", "tokens"] = "spans"
    budget_tokens: int = 300_000
    corpus_share: float = knob(1.0, choices=(0.25, 0.5, 1.0))
    batch_size: int = 32
    micro_batch: int = field(default=0, metadata=NOT_IN_KEY)
    optimization: Optimization = field(default_factory=Optimization)

    def __post_init__(self) -> None:
        if self.budget_tokens <= 0:
            raise UserError(f"budget_tokens is {self.budget_tokens}; expected a positive number of corpus tokens, e.g. 300000.")
        if not 0 < self.corpus_share <= 1:
            raise UserError(f"corpus_share is {self.corpus_share}; expected a fraction above 0 and at most 1.")
        if self.batch_size <= 0:
            raise UserError(f"batch_size is {self.batch_size}; expected a positive number of passages, e.g. 32.")

    def steps(self, context: Context) -> int:
        """Optimizer steps that read the budget."""
        return _steps(self.budget_tokens, self.batch_size, context.data.corpus.lengths_P[self._rows(context)])

    def reads(self, context: Context) -> Sequence[int]:
        """The corpus tokens of every step: a matter of the order of passages alone, whatever is hidden."""
        return _reads(context.data.corpus, self.corpus_share, self.batch_size, self.budget_tokens, context.seeds.data)

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

    def _rows(self, context: Context) -> np.ndarray:
        return _rows(len(context.data.corpus), self.corpus_share, context.seeds.data)


def _written_loss(model: nn.Module, batch: MicroBatch) -> torch.Tensor:
    return sequence_loss(body_of(model), batch)


def _check(target: str, body: PreTrainedModel) -> None:
    """Raise UserError for a target that the body cannot be asked."""
    if (target == "tokens") == body.config.is_encoder_decoder:
        kind, expected = ("n encoder", "'tokens'") if target != "tokens" else ("n encoder-decoder", "'spans' or 'sentence'")
        raise UserError(
            f"denoise's target is {target!r}, but a {body.config.model_type} model is a{kind}; set target to {expected}."
        )


def _rows(passages: int, share: float, seed: int) -> np.ndarray:
    """The passages in use: the same ones for every recipe of a replicate that takes the same share."""
    chosen = np.random.default_rng(derive(seed, "share")).permutation(passages)
    return np.sort(chosen[: max(1, round(share * passages))])


def _steps(budget_tokens: int, batch_size: int, lengths_P: np.ndarray) -> int:
    return max(1, math.ceil(budget_tokens / (min(batch_size, len(lengths_P)) * lengths_P.mean())))


@lru_cache(maxsize=256)  # a study asks for the same few again and again, and the order of many epochs takes a second
def _reads(corpus: Corpus, share: float, batch_size: int, budget_tokens: int, seed: int) -> Sequence[int]:
    lengths_P = corpus.lengths_P[_rows(len(corpus), share, seed)]
    order = Order(lengths_P, batch_size, seed)
    return tuple(int(lengths_P[order.rows(step)].sum()) for step in range(_steps(budget_tokens, batch_size, lengths_P)))


class _Batches:
    """The masked global batch of a step, as a function of the step alone."""

    def __init__(self, stage: Denoise, model: nn.Module, context: Context) -> None:
        _check(stage.target, body_of(model))
        self.stage, self.context = stage, context
        self.rows_P = stage._rows(context)
        self.corpus = context.data.corpus
        self.order = Order(self.corpus.lengths_P[self.rows_P], stage.batch_size, context.seeds.data)
        self.cost = CostModel.of(model)
        self.steps = stage.steps(context)

    def __call__(self, step: int) -> StepBatch:
        rng = np.random.default_rng(derive(self.context.seeds.mask, "step", step))
        passages = self.corpus.passages(self.rows_P[self.order.rows(step)], self.stage.policy.needs())
        mask = self.stage.policy.draw(passages, rng, step / self.steps)
        batch = _asking(self._corrupted(passages, mask), ended=self.stage.target != "tokens")
        return step_batch(batch, self.context.parallel, self.cost, len(passages.tokens_N), self.stage.micro_batch)

    def _corrupted(self, passages: Passages, mask: Mask) -> Batch:
        data, target = self.context.data, self.stage.target
        if target != "tokens":
            return corrupt(passages, mask, data.symbols, target, data.max_tokens + 1)
        if mask.inserted_N is not None:
            raise UserError(
                f"the masking policy {self.stage.policy.name()!r} sets mask symbols where nothing is hidden, which asks nothing "
                "of an encoder; take another policy, or an encoder-decoder."
            )
        return mlm(passages, mask, data.symbols, first=data.tokenizer.cls_token_id, last=data.symbols.eos)


def _asking(batch: Batch, ended: bool) -> Batch:
    """The rows in which something is hidden. A passage without a name has nothing to ask under salient masking; kept,
    it would teach that the answer is empty. Its tokens count as read all the same. ended: labels hold an end symbol."""
    asks_B = (batch.labels_BU != IGNORED).sum(axis=1) > int(ended)
    if asks_B.all() or not asks_B.any():
        return batch
    return Batch(
        input_ids_BT=batch.input_ids_BT[asks_B], attention_BT=batch.attention_BT[asks_B], labels_BU=batch.labels_BU[asks_B]
    )
