"""How a body is told which tokens are padding."""

import torch
from torch._C._functorch import is_functorch_wrapped_tensor


def told(attention_BT: torch.Tensor) -> torch.Tensor:
    """What a body takes as its `attention_mask`: (B, T), False at padding.

    A step of several stacked models gives it as (B, 1, 1, T): transformers looks into a mask of the first form, to leave it
    out where nothing is padding, and nobody can look into one that stands for several.
    """
    return attention_BT[:, None, None, :] if is_functorch_wrapped_tensor(attention_BT) else attention_BT
