"""AdamW, fused, under a warmup-stable-decay schedule."""

from dataclasses import dataclass

import torch
from torch import nn

from raylab.errors import UserError
from raylab.recipe import knob


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimization:
    """AdamW (Loshchilov and Hutter 2019) with linear warmup, a constant plateau and linear decay to zero (WSD, Hu et
    al. 2024: a plateau lets a run be judged, or continued, before its end).

    learning_rate: at the plateau. warmup, decay: fractions of the steps. clip: largest norm of the gradient.
    """

    learning_rate: float = knob(4e-3, low=5e-4, high=1e-2, log=True)
    warmup: float = 0.1
    decay: float = 0.4
    weight_decay: float = 0.01
    beta2: float = 0.98
    clip: float = 1.0

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise UserError(f"learning_rate is {self.learning_rate}; expected a positive number, e.g. 0.002.")
        if self.warmup < 0 or self.decay < 0 or self.warmup + self.decay > 1:
            raise UserError(
                f"warmup {self.warmup} and decay {self.decay} are fractions of the steps; their sum must be at most 1."
            )

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`."""
        rising = (step + 1) / max(1.0, self.warmup * steps)
        falling = (steps - step) / max(1.0, self.decay * steps)
        return self.learning_rate * min(1.0, rising, falling)

    def optimizer(self, model: nn.Module) -> torch.optim.AdamW:
        """Vectors (norms, biases) are not decayed; in the order of the model's parameters."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([g for g in groups if g["params"]], lr=self.learning_rate, betas=(0.9, self.beta2), fused=True)

    def set_rate(self, optimizer: torch.optim.Optimizer, step: int, steps: int) -> float:
        """Set and return the learning rate of a step."""
        rate = self.rate_at(step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        return rate
