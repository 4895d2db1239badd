"""The plain training that the inner model has behind it when episodes begin, and the scale of its gradients."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from raylab.masking.corrupt import Batch
from raylab.masking.learned.extractor import span_log_probs
from raylab.masking.learned.meta.config import Meta
from raylab.masking.learned.meta.episode import Material
from raylab.masking.learned.meta.estimators import drawn
from raylab.masking.learned.meta.proxy import Proxy
from raylab.masking.learned.meta.unrolled import Params
from raylab.models.flops import CostModel
from raylab.seeds import derive
from raylab.training.batching import StepBatch, step_batch
from raylab.training.checkpoint import Checkpoints
from raylab.training.loop import Training, train
from raylab.training.memory import Memory
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress

FLOOR = 1e-4  # added to the root of a gradient's mean square: parameters that were hardly used move no further than others
MEASURED = 4  # batches of each kind that the mean square is taken over


class Base:
    """One fold's inner model: trained plainly on uniformly drawn spans and on the questions that support."""

    def __init__(self, material: Material, config: Meta, supporting: np.ndarray, seed: int, parallel: Parallel) -> None:
        self.material, self.config, self.seed, self.parallel = material, config, seed, parallel
        self.supporting = supporting
        self.proxy = Proxy.of(config.base, material.data.tokenizer, derive(seed, "init"), parallel.device)
        self.cost = CostModel.of(self.proxy.model)
        corpus = material.data.corpus
        # a passage of which nothing may be hidden asks for nothing
        self._rows = np.flatnonzero(np.add.reduceat(corpus.maskable_N, corpus.starts_P1[:-1]))
        self._passages = Order(corpus.lengths_P[self._rows], config.base_batch, derive(seed, "passages"))
        self._questions = Order([1] * len(supporting), config.base_batch, derive(seed, "questions"))

    def train(self, name: str) -> Iterator[Progress]:
        """Leaves the trained parameters in the proxy. Raises Diverged, OutOfMemory."""
        config = self.config
        stages = (
            ("pretraining", self._pretraining, config.base_pretraining, 4e-3),
            ("finetuning", self._finetuning, config.base_finetuning, 2e-3),
        )
        for kind, batches, steps, rate in stages:
            training = Training(
                stage=f"{name} {kind}", steps=steps, batches=batches, optimization=Optimization(learning_rate=rate, decay=0.0),
                seed=derive(self.seed, kind), uniform_loss=math.log(len(self.material.data.tokenizer)),
            )  # fmt: skip
            if steps:
                yield from train(self.proxy.model, training, self.parallel, Checkpoints(), Memory())
        self.proxy.model.eval()

    def scale(self) -> Params:
        """What Adam would multiply the gradients with after this training, by parameter."""
        params = {name: value.requires_grad_() for name, value in self.proxy.parameters().items()}
        squares = {name: torch.zeros_like(value) for name, value in params.items()}
        for index in range(MEASURED):
            for batch in (self._masked(self.config.base_pretraining + index), self._asked(self.config.base_finetuning + index)):
                moved = self.material.on_device(batch)
                loss = self.proxy.nats(params, moved).sum() / (moved.labels_BU != -100).sum()
                for square, gradient in zip(
                    squares.values(), torch.autograd.grad(loss, list(params.values()), materialize_grads=True), strict=True
                ):
                    square += gradient**2 / (2 * MEASURED)
        return {name: 1 / (value.sqrt() + FLOOR) for name, value in squares.items()}

    def _pretraining(self, step: int) -> StepBatch:
        read = int(self.material.data.corpus.lengths_P[self._rows[self._passages.rows(step)]].sum())
        return step_batch(self._masked(step), self.parallel, self.cost, read)

    def _finetuning(self, step: int) -> StepBatch:
        return step_batch(self._asked(step), self.parallel, self.cost, 0)

    def _masked(self, step: int) -> Batch:
        rows_B = self._rows[self._passages.rows(step)]
        _, _, maskable_BT = self.material.read(rows_B)
        even_BT = torch.zeros(maskable_BT.shape, device=self.parallel.device)
        generator = generator_of(derive(self.seed, "spans", step), self.parallel.device)
        spans = drawn(span_log_probs(even_BT, even_BT, maskable_BT, self.config.longest), 1, generator)
        return (
            self.material.in_place(rows_B, *spans) if self.config.estimator == "gumbel" else self.material.hidden(rows_B, *spans)
        )

    def _asked(self, step: int) -> Batch:
        rows: Sequence[int] = self.supporting[self._questions.rows(step)].tolist()
        return self.material.asked(rows)


def generator_of(seed: int, device: torch.device) -> torch.Generator:
    """Random numbers that depend on the seed alone."""
    return torch.Generator(device=device).manual_seed(seed)
