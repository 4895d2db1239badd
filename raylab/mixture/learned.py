"""Weights of tasks that are learned while the model is: a task whose gradient points the way of the target's counts for more.

After DoGE (Fan et al. 2023, arXiv 2310.15393), our reading: every few updates the gradient of each task's loss is compared
with that of the target's on examples of its train split, and the log-weights move by how well they agree (an exponentiated
gradient). Where DoGE takes the inner product of the gradients, this is their cosine, so that tasks whose losses are of
different sizes move alike; and only of the body, as every task has a head of its own. Weights multiply losses; what is drawn
does not change. They begin as the proportions of the draw, at which every loss counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from raylab.errors import UserError
from raylab.models.flops import CostModel
from raylab.models.headed import body_of
from raylab.seeds import derive
from raylab.training.batching import step_batch
from raylab.training.objective import Objective
from raylab.training.order import Order
from raylab.training.parallel import Parallel

STATE = "mixture"  # a buffer of the model: what checkpoints keep, and a saved model does not


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """rate: how far a log-weight moves when gradients agree wholly. every: updates of the model between two of the weights.
    rows: examples of every task, and of the target, whose gradients are compared."""

    rate: float = 1.0
    every: int = 10
    rows: int = 16

    def __post_init__(self) -> None:
        if not self.rate > 0 or self.every < 1 or self.rows < 1:
            raise UserError(
                f"learned weights with rate {self.rate:g}, every {self.every} updates, of {self.rows} rows; expected a positive "
                "rate, and 1 or more of the others."
            )


def begin(model: nn.Module, tasks: int) -> nn.Module:
    """The model with a log-weight for every task, all equal."""
    model.register_buffer(STATE, torch.zeros(tasks, dtype=torch.float64), persistent=False)
    return model


def factors(model: nn.Module, proportions: np.ndarray) -> torch.Tensor:
    """What the loss of each task is multiplied by: its weight over its proportion in the draw."""
    moved: torch.Tensor = getattr(model, STATE)
    drawn = torch.as_tensor(proportions, device=moved.device)
    return moved.exp() / (drawn * moved.exp()).sum()


class Alignment:
    """Compares the gradients of tasks with that of the target, on rows that follow from the seed and the turn alone."""

    def __init__(self, objectives: Sequence[Objective], target: Objective, how: Learned, cost: CostModel, seed: int) -> None:
        self.how, self.cost, self.objectives = how, cost, (*objectives, target)
        self.flops = 0.0  # of all comparisons so far
        self.orders = [
            Order(objective.lengths(), how.rows, derive(seed, "alignment", place))
            for place, objective in enumerate(self.objectives)
        ]

    def update(self, model: nn.Module, turn: int, device: torch.device) -> None:
        """Move the log-weights. Nothing else of the model changes."""
        moved: torch.Tensor = getattr(model, STATE)
        agree = torch.as_tensor(self.cosines(model, turn, device), dtype=moved.dtype, device=moved.device)
        moved += self.how.rate * agree
        moved -= moved.max()

    def cosines(self, model: nn.Module, turn: int, device: torch.device) -> list[float]:
        """Of the angle between each task's gradient and the target's; 0 where one of them is zero."""
        was_training = model.training
        model.eval()
        target = self._gradient(model, -1, turn, device)
        found = [_cosine(self._gradient(model, place, turn, device), target) for place in range(len(self.objectives) - 1)]
        model.train(was_training)
        return found

    def _gradient(self, model: nn.Module, place: int, turn: int, device: torch.device) -> list[torch.Tensor]:
        """Of a task's loss, for the parameters of the body."""
        objective, rows = self.objectives[place], self.orders[place].rows(turn)
        batch = step_batch(objective.batch(rows.tolist()), Parallel(device=device), self.cost, 0)
        self.flops += batch.flops
        loss = objective.loss(model, next(batch.micro_batches()))
        body = [parameter for parameter in body_of(model).parameters() if parameter.requires_grad]
        found = torch.autograd.grad(loss, body, allow_unused=True)
        return [torch.zeros_like(own) if one is None else one for one, own in zip(found, body, strict=True)]


def _cosine(ones: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    dot, one, other = (
        sum(float((a * b).sum()) for a, b in zip(left, right, strict=True))
        for left, right in ((ones, others), (ones, ones), (others, others))
    )
    return dot / (one * other) ** 0.5 if one and other else 0.0
