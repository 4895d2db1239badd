"""The training loop, to be read aloud.

For every step: take this worker's micro-batches of the global batch; for each, the summed loss divided by the number
of target tokens in the whole global batch; add up the gradients; clip; step. What a step reads and draws depends on
the run's seeds and the step alone, so the losses are those of one worker whatever the number of workers or the size of
a micro-batch, up to the order of float additions.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PretrainedConfig

from raylab.errors import Diverged
from raylab.seeds import derive
from raylab.training.checkpoint import Checkpoints
from raylab.training.optimizer import Optimization
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress

READ_EVERY = 10  # steps between readings of the loss: reading it waits for the device
EXPLODED = 3.0  # times the loss of a uniform guess, past which a run counts as diverged


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """Model inputs of a few sequences on this worker, padded to their longest (ids; -100 pads labels)."""

    input_ids_BT: torch.Tensor
    attention_BT: torch.Tensor
    labels_BU: torch.Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """This worker's part of one global batch, and the counts and cost of the whole of it."""

    micro_batches: Sequence[MicroBatch]
    corpus_tokens: int
    input_tokens: int
    target_tokens: int
    flops: float


def sequence_loss(model: nn.Module, batch: MicroBatch) -> torch.Tensor:
    """Teacher-forced cross-entropy of an encoder-decoder, summed over the batch's target tokens, in nats."""
    logits_BUV = decode(model, batch)
    return cross_entropy(logits_BUV.flatten(0, 1).float(), batch.labels_BU.flatten(), ignore_index=-100, reduction="sum")


def decode(model: nn.Module, batch: MicroBatch) -> torch.Tensor:
    """Logits (B, U, V) for every target position, given the ones before it."""
    config: PretrainedConfig = getattr(model, "module", model).config
    shifted_BU = batch.labels_BU.roll(1, dims=1)
    shifted_BU[:, 0] = config.decoder_start_token_id
    shifted_BU = shifted_BU.masked_fill(shifted_BU == -100, config.pad_token_id)
    return model(
        input_ids=batch.input_ids_BT, attention_mask=batch.attention_BT, decoder_input_ids=shifted_BU, use_cache=False
    ).logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What one stage trains: everything the loop needs but the model and where it stands."""

    stage: str
    steps: int
    batches: Callable[[int], StepBatch]
    optimization: Optimization
    seed: int
    loss: Callable[[nn.Module, MicroBatch], torch.Tensor] = sequence_loss
    precision: str = "float32"
    uniform_loss: float = math.inf


def train(model: nn.Module, training: Training, parallel: Parallel, checkpoints: Checkpoints) -> Iterator[Progress]:
    """Train `model` in place from its newest checkpoint in this stage, or the start. Raises Diverged."""
    optimizer = training.optimization.optimizer(model)
    first = checkpoints.restore(training.stage, model, optimizer)
    wrapped = parallel.wrap(model)
    model.train()
    for step in range(first, training.steps):
        clock = _Clock()
        torch.manual_seed(derive(training.seed, "dropout", step, parallel.rank))
        batch = training.batches(step)
        clock.lap("data")
        loss = _accumulate(wrapped, batch, training, parallel)
        clock.lap("forward_backward")
        rate = training.optimization.set_rate(optimizer, step, training.steps)
        nn.utils.clip_grad_norm_(model.parameters(), training.optimization.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        read = (step + 1) % READ_EVERY == 0 or step + 1 == training.steps
        value = _checked(parallel.sum(loss).item() / batch.target_tokens, step, training) if read else None
        clock.lap("optimizer")
        yield Progress(
            stage=training.stage, step=step + 1, steps=training.steps, learning_rate=rate, loss=value,
            corpus_tokens=batch.corpus_tokens, input_tokens=batch.input_tokens, target_tokens=batch.target_tokens,
            flops=batch.flops, seconds=clock.laps,
        )  # fmt: skip
        if parallel.rank == 0 and checkpoints.due():
            checkpoints.save(training.stage, step + 1, model, optimizer)


def _accumulate(wrapped: nn.Module, batch: StepBatch, training: Training, parallel: Parallel) -> torch.Tensor:
    """Leave the gradient of the global mean loss in the parameters; return this worker's summed loss."""
    total = torch.zeros((), device=parallel.device)
    for i, micro in enumerate(batch.micro_batches):
        more = i + 1 < len(batch.micro_batches)
        bf16 = training.precision == "bfloat16"
        with parallel.accumulating(wrapped, more):
            with torch.autocast(parallel.device.type, torch.bfloat16, enabled=bf16):
                loss = training.loss(wrapped, micro)
            # gradients are averaged over workers, the loss is a sum over them
            (loss * (parallel.world / batch.target_tokens)).backward()
        total += loss.detach()
    return total


def _checked(loss: float, step: int, training: Training) -> float:
    if not math.isfinite(loss) or loss > EXPLODED * training.uniform_loss:
        raise Diverged(f"{training.stage}: the loss is {loss:.4g} nats a token at step {step + 1} of {training.steps}")
    return loss


class _Clock:
    """Where the seconds of a step go."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.laps[part] = now - self._last
        self._last = now
