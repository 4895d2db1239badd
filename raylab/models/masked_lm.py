"""What an encoder says of hidden tokens. Letters as in raylab.models.states."""

import torch
from torch import nn

from raylab.models.asked import asked_loss
from raylab.models.headed import body_of
from raylab.models.padding import told
from raylab.models.states import encoder_of
from raylab.training.batching import MicroBatch


def masked_loss(model: nn.Module, batch: MicroBatch) -> torch.Tensor:
    """Cross-entropy of the hidden tokens, summed, in nats. labels_BU stand below their tokens, -100 where nothing is asked; U: T,
    or less where no later token is asked."""
    body = body_of(model)

    def logits() -> torch.Tensor:
        found: torch.Tensor = body(input_ids=batch.input_ids_BT, attention_mask=told(batch.attention_BT)).logits
        return found

    return asked_loss(batch, encoder_of(body), logits)
