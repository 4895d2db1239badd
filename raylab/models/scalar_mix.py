"""A learned mix of a body's layers, as features for a task (Peters et al. 2018, 2019): gamma x sum of w_l h_l, w = softmax(s)."""

from collections.abc import Sequence

import torch
from torch import nn


class ScalarMix(nn.Module):
    """One weight a layer, all equal at first, and one scale, 1 at first."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """The mix (B, T, H) of the states (B, T, H) of every layer."""
        weights_L = self.scores.softmax(0)
        return self.gamma * torch.einsum("l,lbth->bth", weights_L, torch.stack(tuple(states)))
