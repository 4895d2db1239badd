"""The training loop, to be read aloud.

For every step: take this worker's rows of the global batch, in micro-batches that fit its memory; for each, the summed
loss divided by the number of target tokens in the whole global batch; add up the gradients, here and over the workers;
clip; step. What a step reads and draws depends on the run's seeds and the step alone, so the losses are those of one
worker whatever the number of workers or the size of a micro-batch, up to the order of float additions.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from raylab.errors import Diverged
from raylab.models.asked import asked_loss
from raylab.models.padding import told
from raylab.seeds import derive
from raylab.training.batching import MicroBatch, StepBatch
from raylab.training.checkpoint import Checkpoints
from raylab.training.company import Work
from raylab.training.memory import Memory
from raylab.training.optimizer import Optimization
from raylab.training.parallel import Parallel, forget_gradients
from raylab.training.progress import Progress

READ_EVERY = 10  # steps between readings of the loss: reading it waits for the device
EXPLODED = 3.0  # times the loss of a uniform guess, past which a run counts as diverged


def sequence_loss(model: PreTrainedModel, batch: MicroBatch) -> torch.Tensor:
    """Teacher-forced cross-entropy of an encoder-decoder, summed over the batch's target tokens, in nats."""
    return asked_loss(batch, model.get_decoder(), partial(decode, model, batch))


def decode(model: PreTrainedModel, batch: MicroBatch) -> torch.Tensor:
    """Logits (B, U, V) for every target position, given the ones before it."""
    shifted_BU = batch.labels_BU.roll(1, dims=1)
    shifted_BU[:, 0] = model.config.decoder_start_token_id
    shifted_BU = shifted_BU.masked_fill(shifted_BU == -100, model.config.pad_token_id)
    return model(
        input_ids=batch.input_ids_BT, attention_mask=told(batch.attention_BT), decoder_input_ids=shifted_BU, use_cache=False
    ).logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What one stage trains: everything the loop needs but the model and where it stands."""

    stage: str
    steps: int
    batches: Callable[[int], StepBatch]
    optimization: Optimization
    seed: int
    loss: Callable[[Any, MicroBatch], torch.Tensor] = sequence_loss
    precision: str = "float32"
    uniform_loss: float = math.inf


def train(
    model: nn.Module, training: Training, parallel: Parallel, checkpoints: Checkpoints, memory: Memory
) -> Iterator[Progress]:
    """Train `model` in place from its newest checkpoint in this stage, or the start. Raises Diverged, OutOfMemory."""
    optimizer = training.optimization.optimizer(model)
    first = checkpoints.restore(training.stage, model, optimizer)
    fit = memory.of(model, f"training in {training.precision}", parallel.device)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]  # looked up once: it takes a while
    model.train()
    for step in range(first, training.steps):
        clock = _Clock()
        with parallel.adding_gradients(parameters):
            batch = training.batches(step)
            clock.lap("data", masking=batch.masking_s)
            loss, waited_s = fit.attempt(
                partial(_accumulate, model, parameters, batch, training, step, parallel), batch.micro_batch, batch.width
            )
            clock.lap("forward_backward", waiting=waited_s)
        clock.lap("exchange")
        rate = training.optimization.set_rate(optimizer, step, training.steps)
        nn.utils.clip_grad_norm_(parameters, training.optimization.clip)
        optimizer.step()
        read = (step + 1) % READ_EVERY == 0 or step + 1 == training.steps
        value = _checked(parallel.sum(loss).item() / batch.target_tokens, step, training) if read else None
        clock.lap("optimizer")
        yield Progress(
            stage=training.stage, step=step + 1, steps=training.steps, learning_rate=rate, loss=value,
            corpus_tokens=batch.corpus_tokens, input_tokens=batch.input_tokens, target_tokens=batch.target_tokens,
            flops=batch.flops, positions=batch.positions, padding=batch.padding, seconds=clock.laps,
        )  # fmt: skip
        if parallel.rank == 0 and checkpoints.due():
            checkpoints.save(training.stage, step + 1, model, optimizer)


def _accumulate(
    model: nn.Module, parameters: Sequence[nn.Parameter], batch: StepBatch, training: Training, step: int, parallel: Parallel,
    rows: int,
) -> tuple[torch.Tensor, float]:  # fmt: skip
    """Leave this worker's part of the global mean loss's gradient in the parameters, computed `rows` rows at a time;
    return its summed loss, and the seconds that it waited for other runs of the process."""
    forget_gradients(parameters)  # what an attempt with more rows left
    total, waited_s = torch.zeros((), device=parallel.device), 0.0
    for number, micro in enumerate(batch.micro_batches(rows)):
        work = Work(
            model=model, loss=training.loss, batch=micro, share=1 / batch.target_tokens, precision=training.precision,
            seed=derive(training.seed, "dropout", step, parallel.rank) + number,
        )  # fmt: skip
        total += parallel.company.gradients(work) if parallel.company else work.compute()
        waited_s += work.waited_s
    return total, waited_s


def _checked(loss: float, step: int, training: Training) -> float:
    if not math.isfinite(loss) or loss > EXPLODED * training.uniform_loss:
        raise Diverged(f"{training.stage}: the loss is {loss:.4g} nats a token at step {step + 1} of {training.steps}")
    return loss


class _Clock:
    """Where the seconds of a step go."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, part: str, **within: float) -> None:
        """The time since the last lap is that of a part, but for what lies within it and is told apart."""
        now = time.perf_counter()
        self.laps |= {part: now - self._last - sum(within.values()), **within}
        self._last = now
