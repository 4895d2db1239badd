"""Intermediate pretraining: predict what a masking policy hides (our reading of Ye et al. 2021; BART, T5)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from transformers import PreTrainedModel

from raylab.data.corpus import Corpus
from raylab.errors import UserError
from raylab.masking.corrupt import IGNORED, Batch, corrupt
from raylab.masking.policy import Policy
from raylab.models.flops import CostModel
from raylab.recipe import NOT_IN_KEY, Stage, knob
from raylab.seeds import derive
from raylab.training.batching import step_batch
from raylab.training.context import Context
from raylab.training.loop import StepBatch, Training, train
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Denoise(Stage):
    """Train on the corpus to restore hidden tokens.

    target: "spans", the hidden spans alone, or "sentence", the whole passage. budget_tokens: corpus tokens to read,
    counted before masking; it decides the number of steps. corpus_share: the fraction of the passages that is used.
    """

    policy: Policy
    target: Literal["spans", "sentence"] = "spans"
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

    def run(self, model: PreTrainedModel, context: Context) -> Iterator[Progress]:
        """Train `model` in place. Yields a Progress a step; raises Diverged, OutOfMemory."""
        training = Training(
            stage=context.stage, steps=self.steps(context), batches=self.batches(model, context),
            optimization=self.optimization, seed=context.seeds.mask, precision=context.precision,
            uniform_loss=math.log(len(context.data.tokenizer)),
        )  # fmt: skip
        yield from train(model, training, context.parallel, context.checkpoints, context.memory)

    def batches(self, model: PreTrainedModel, context: Context) -> Callable[[int], StepBatch]:
        """The masked global batch of a step."""
        return _Batches(self, model, context)

    def _rows(self, context: Context) -> np.ndarray:
        return _rows(len(context.data.corpus), self.corpus_share, context.seeds.data)


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

    def __init__(self, stage: Denoise, model: PreTrainedModel, context: Context) -> None:
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
        batch = corrupt(passages, mask, self.context.data.symbols, self.stage.target, self.context.data.max_tokens + 1)
        batch = _asking(batch)
        return step_batch(batch, self.context.parallel, self.cost, len(passages.tokens_N), self.stage.micro_batch)


def _asking(batch: Batch) -> Batch:
    """The rows in which something is hidden. A passage without a name has nothing to ask under salient masking; kept,
    it would teach that the answer is empty. Its tokens count as read all the same."""
    asks_B = (batch.labels_BU != IGNORED).sum(axis=1) > 1  # more than the end symbol
    if asks_B.all() or not asks_B.any():
        return batch
    return Batch(
        input_ids_BT=batch.input_ids_BT[asks_B], attention_BT=batch.attention_BT[asks_B], labels_BU=batch.labels_BU[asks_B]
    )
