"""What stages that hide tokens of the corpus have in common: which passages a step reads, and what of them is hidden."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from raylab.data.corpus import Corpus
from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.corrupt import IGNORED, Batch, mlm
from raylab.masking.policy import Mask, Passages, Policy
from raylab.recipe import NOT_IN_KEY, Stage, knob
from raylab.seeds import derive
from raylab.training.context import Context
from raylab.training.optimizer import Optimization
from raylab.training.order import Order


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedReading(Stage):
    """Read the corpus, of which a policy hides tokens anew in each epoch.

    budget_tokens: corpus tokens to read, counted before masking; it decides the number of steps. corpus_share: the fraction of
    the passages that is used.
    """

    policy: Policy
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
        """Optimizer steps that read the budget. Raises UserError for a corpus smaller than a batch."""
        return len(self.reads(context))

    def reads(self, context: Context) -> Sequence[int]:
        """The corpus tokens of every step: a matter of the order of passages alone, whatever is hidden. Raises UserError for a
        corpus smaller than a batch."""
        if (passages := len(context.data.corpus)) < self.batch_size:
            raise UserError(
                f"the corpus has {passages} passages, which do not fill one batch of {self.batch_size}. Give more text "
                f"(--corpus), or take smaller batches (--set batch_size={passages})."
            )
        return _reads(context.data.corpus, self.corpus_share, self.batch_size, self.budget_tokens, context.seeds.data)

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


class Reading:
    """What each step reads, and what of it is hidden, as a function of the step alone. masking_s: of the last one."""

    def __init__(self, stage: MaskedReading, context: Context) -> None:
        self.policy, self.seed, self.corpus = stage.policy, context.seeds.mask, context.data.corpus
        self.rows_P = stage._rows(context)
        self.order = Order(self.corpus.lengths_P[self.rows_P], stage.batch_size, context.seeds.data)
        self.steps = stage.steps(context)
        self.masking_s = 0.0

    def __call__(self, step: int) -> tuple[Passages, Mask]:
        rng = np.random.default_rng(derive(self.seed, "step", step))
        passages = self.corpus.passages(self.rows_P[self.order.rows(step)], self.policy.needs())
        begun = time.perf_counter()
        mask = self.policy.draw(passages, rng, step / self.steps)
        self.masking_s = time.perf_counter() - begun
        return passages, mask


def in_place(passages: Passages, mask: Mask, data: Prepared, policy: Policy) -> Batch:
    """What an encoder reads of masked passages, each between the tokenizer's own symbols, and is asked in their places: the rows
    of which it is asked anything."""
    if mask.inserted_N is not None:
        raise UserError(
            f"the masking policy {policy.name()!r} sets mask symbols where nothing is hidden, which asks nothing of an encoder; "
            "take another policy, or an encoder-decoder."
        )
    return asking(mlm(passages, mask, data.symbols, first=data.tokenizer.cls_token_id, last=data.symbols.eos), least=1)


def asking(batch: Batch, least: int) -> Batch:
    """The rows with at least so many labels. A passage without a name has nothing to ask under salient masking; kept,
    it would teach that the answer is empty. Its tokens count as read all the same."""
    asks_B = (batch.labels_BU != IGNORED).sum(axis=1) >= least
    if asks_B.all() or not asks_B.any():
        return batch
    return Batch(
        input_ids_BT=batch.input_ids_BT[asks_B], attention_BT=batch.attention_BT[asks_B], labels_BU=batch.labels_BU[asks_B]
    )
