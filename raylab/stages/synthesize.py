"""Synthetic pretraining: learn a task on sequences without meaning (Wu, Li, Liang 2022; raylab.synthetic)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.corrupt import IGNORED, Batch
from raylab.models.flops import CostModel
from raylab.models.headed import body_of
from raylab.recipe import NOT_IN_KEY, Stage
from raylab.seeds import Seeds, derive
from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, joined
from raylab.synthetic.task import Lengths, Pairs, SyntheticTask
from raylab.training.batching import MicroBatch, StepBatch, step_batch
from raylab.training.context import Context
from raylab.training.loop import Training, decode, sequence_loss, train
from raylab.training.optimizer import Optimization
from raylab.training.progress import Progress

HELD_OUT_ROWS = 512  # fresh examples on which a trained model is judged
_SAMPLE_ROWS = 4096  # examples from which a task's mean length is known


@dataclass(frozen=True, kw_only=True, slots=True)
class Synthesize(Stage):
    """Train an encoder-decoder on examples of a synthetic task, each seen once.

    budget_tokens: input tokens to read (task's name and payload); it decides the number of steps. symbols: of how many
    ordinary tokens of the tokenizer sequences are made, drawn at random; 0: of all. shortest, longest: tokens of a payload;
    0: the paper's 10, and its 220 shrunk in proportion where texts have fewer than 512 tokens (27 where they have 64). LIME
    takes its sizes from the texts' length alone. An encoder has nothing to write an output with, and is refused.
    """

    task: SyntheticTask
    budget_tokens: int = 300_000
    symbols: int = 0
    shortest: int = 0
    longest: int = 0
    batch_size: int = 32
    micro_batch: int = field(default=0, metadata=NOT_IN_KEY)
    optimization: Optimization = field(default_factory=Optimization)

    def __post_init__(self) -> None:
        if self.budget_tokens <= 0 or self.batch_size <= 0:
            raise UserError(
                f"budget_tokens is {self.budget_tokens} and batch_size {self.batch_size}; expected positive numbers, e.g. 300000 "
                "and 32."
            )
        if min(self.symbols, self.shortest, self.longest) < 0:
            raise UserError(
                f"symbols is {self.symbols}, shortest {self.shortest}, longest {self.longest}; expected positive numbers, or 0 "
                "for what fits."
            )

    def reads(self, context: Context) -> Sequence[int]:
        """The input tokens of every step, which are drawn for it."""
        return _reads(_Generator.of(self, context), self.budget_tokens)

    def tokens_a_step(self, context: Context) -> float:
        """The input tokens of a step, on average."""
        return _mean_tokens(_Generator.of(self, context)) * self.batch_size

    def run(self, model: nn.Module, context: Context) -> Iterator[Progress]:
        """Train `model` in place. Yields a Progress a step, the last one with the share of tokens that the model gets right in
        fresh examples. Raises UserError for a model without a decoder; Diverged, OutOfMemory."""
        batches = _Batches(self, model, context)
        training = Training(
            stage=context.stage, steps=batches.generator.steps(self.budget_tokens), batches=batches,
            optimization=self.optimization, seed=context.seeds.mask, precision=context.precision,
            uniform_loss=math.log(len(context.data.tokenizer)), loss=_loss,
        )  # fmt: skip
        for progress in train(model, training, context.parallel, context.checkpoints, context.memory):
            if progress.step < progress.steps:
                yield progress
            else:
                yield replace(progress, measured={"synthetic_token_accuracy": token_accuracy(model, batches.held_out(), context)})

    def batches(self, model: nn.Module, context: Context) -> Callable[[int], StepBatch]:
        """The generated global batch of a step. Raises UserError for a model without a decoder."""
        return _Batches(self, model, context)

    def held_out(self, model: nn.Module, context: Context) -> StepBatch:
        """Examples that no step reads, to judge a model on. Raises UserError for a model without a decoder."""
        return _Batches(self, model, context).held_out()


def _loss(model: nn.Module, batch: MicroBatch) -> torch.Tensor:
    return sequence_loss(body_of(model), batch)


def token_accuracy(model: nn.Module, batch: StepBatch, context: Context) -> float:
    """The share of a batch's target tokens, the end symbol among them, that are the model's first choice given those before."""
    parallel = context.parallel
    fit = context.memory.of(model, f"training in {context.precision}", parallel.device)
    training = model.training
    model.eval()

    @torch.inference_mode()
    def right(rows: int) -> torch.Tensor:
        counted = torch.zeros((), device=parallel.device)
        for micro in batch.micro_batches(rows):
            counted += ((decode(body_of(model), micro).argmax(-1) == micro.labels_BU) & (micro.labels_BU != IGNORED)).sum()
        return counted

    with parallel.together():
        own = fit.attempt(right, batch.micro_batch, batch.width)
    model.train(training)
    return parallel.sum(own).item() / batch.target_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class _Generator:
    """A task's examples. Equal where the examples are."""

    task: SyntheticTask
    data: Prepared
    lengths: Lengths
    symbols: int
    batch_size: int
    seeds: Seeds

    @classmethod
    def of(cls, stage: Synthesize, context: Context) -> "_Generator":
        """That of a stage. Raises UserError where the data are prepared for texts too short."""
        lengths = Lengths.within(context.data.max_tokens, stage.shortest, stage.longest)
        return cls(
            task=stage.task, data=context.data, lengths=lengths, symbols=stage.symbols, batch_size=stage.batch_size,
            seeds=context.seeds,
        )  # fmt: skip

    def pairs(self, rows: int, *path: int | str) -> Pairs:
        """So many examples: the same for the same path."""
        alphabet = _alphabet(self.data, self.symbols, self.seeds.data)
        return self.task.draw(rows, alphabet, self.lengths, np.random.default_rng(derive(self.seeds.mask, "synthetic", *path)))

    def step(self, step: int) -> Pairs:
        """The examples of a step."""
        return self.pairs(self.batch_size, "step", step)

    def steps(self, budget_tokens: int) -> int:
        """Optimizer steps that read the budget, on average over examples."""
        return max(1, math.ceil(budget_tokens / (self.batch_size * _mean_tokens(self))))


@lru_cache(maxsize=16)
def _alphabet(data: Prepared, symbols: int, seed: int) -> Alphabet:
    return Alphabet.of(data.tokenizer, data.symbols.sentinels, symbols, seed)


@lru_cache(maxsize=256)  # a study asks for the same few again and again
def _mean_tokens(generator: _Generator) -> float:
    return float(generator.pairs(_SAMPLE_ROWS, "sample").sources.sizes.mean())


@lru_cache(maxsize=256)
def _reads(generator: _Generator, budget_tokens: int) -> Sequence[int]:
    return tuple(len(generator.step(step).sources.tokens_N) for step in range(generator.steps(budget_tokens)))


class _Batches:
    """The generated global batch of a step, as a function of the step alone."""

    def __init__(self, stage: Synthesize, model: nn.Module, context: Context) -> None:
        if not body_of(model).config.is_encoder_decoder:
            raise UserError(
                f"the stage synthesize has a model write the outputs of {stage.task.name()!r}; this one has no decoder. Take an "
                "encoder-decoder (family t5 or bart)."
            )
        self.generator = _Generator.of(stage, context)
        self.context, self.micro_batch, self.cost = context, stage.micro_batch, CostModel.of(model)

    def __call__(self, step: int) -> StepBatch:
        return self._made(self.generator.step(step), self.micro_batch)

    def held_out(self) -> StepBatch:
        """Examples that no step reads."""
        rows = self.micro_batch or self.generator.batch_size  # at once, as in training
        return self._made(self.generator.pairs(HELD_OUT_ROWS, "held out"), rows)

    def _made(self, pairs: Pairs, micro_batch: int) -> StepBatch:
        batch = _encoded(pairs, self.context.data.symbols.eos, self.context.data.symbols.pad)
        return step_batch(batch, self.context.parallel, self.cost, len(pairs.sources.tokens_N), micro_batch)


def _encoded(pairs: Pairs, eos: int, pad: int) -> Batch:
    """Inputs and outputs, each with its end symbol."""
    end = Rows.same([eos], len(pairs.sources))
    sources, targets = joined(pairs.sources, end), joined(pairs.targets, end)
    return Batch(input_ids_BT=sources.padded(pad), attention_BT=sources.there(), labels_BU=targets.padded(IGNORED))
