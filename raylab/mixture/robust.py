"""R3F: what a model says should not change with a little noise on its input (Aghajanyan et al. 2020, arXiv 2008.03156).

As its authors' program computes it: noise on the token embeddings, of which no gradient is taken; a symmetric Kullback-Leibler
divergence between what is said with and without it, both of which are trained. R4F bounds the head by spectral normalisation.
"""

from typing import Any, Literal

import torch
from torch.nn.functional import kl_div, log_softmax

from raylab.models.headed import body_of
from raylab.models.states import embedded
from raylab.training.batching import MicroBatch
from raylab.training.objective import Objective

Noise = Literal["uniform", "normal"]


def symmetric_kl(ones_NC: torch.Tensor, others_NC: torch.Tensor) -> torch.Tensor:
    """KL(p || q) + KL(q || p) of two rows of logits, in nats, summed over rows. A choice of minus infinity is one in neither."""
    there_NC = torch.isfinite(ones_NC) & torch.isfinite(others_NC)
    ones_NC, others_NC = (log_softmax(side, 1).masked_fill(~there_NC, 0.0) for side in (ones_NC, others_NC))
    both_NC = kl_div(ones_NC, others_NC, reduction="none", log_target=True) + kl_div(
        others_NC, ones_NC, reduction="none", log_target=True
    )
    return both_NC.masked_fill(~there_NC, 0.0).sum()


def robust_loss(objective: Objective, model: Any, batch: MicroBatch, *, size: float, noise: Noise) -> torch.Tensor:
    """The divergence under noise of `size` (the largest of uniform noise, the deviation of normal noise), summed over what the
    batch asks; 0 for a family without a distribution over a few choices."""
    plain_NC = objective.logits(model, batch)
    if plain_NC is None:
        return torch.zeros((), device=batch.input_ids_BT.device)
    embeddings = embedded(body_of(model), batch.input_ids_BT.flatten(0, -2)).detach()
    drawn = torch.rand_like(embeddings) * 2 - 1 if noise == "uniform" else torch.randn_like(embeddings)
    noised_NC = objective.logits(model, batch, embeddings + size * drawn)
    assert noised_NC is not None
    return symmetric_kl(noised_NC, plain_NC)
