"""What an encoder says of hidden tokens, computed at those alone.

The head of a masked language model costs a product with the whole vocabulary a token; asked at every token, as transformers'
own forward passes do, it can cost more than the encoder. Letters as in raylab.models.states.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raylab.masking.corrupt import IGNORED
from raylab.models.headed import body_of
from raylab.models.states import encoder_of
from raylab.training.batching import MicroBatch


def masked_loss(model: nn.Module, batch: MicroBatch) -> torch.Tensor:
    """Cross-entropy of the hidden tokens, summed, in nats. labels_BU stand below their tokens, -100 where nothing is asked."""
    asked_BU = batch.labels_BU != IGNORED
    logits_NV = masked_logits(body_of(model), batch.input_ids_BT, batch.attention_BT, asked_BU)
    return cross_entropy(logits_NV.float(), batch.labels_BU[asked_BU], reduction="sum")


def masked_logits(
    body: PreTrainedModel, input_ids_BT: torch.Tensor, attention_BT: torch.Tensor, asked_BU: torch.Tensor
) -> torch.Tensor:
    """The body's own head at the tokens that are asked for, (N, V), row by row. U: T, or less where no later token is asked."""

    def asked_alone(_module: nn.Module, _arguments: Any, encoded: Any) -> Any:
        states_BTH = encoded.last_hidden_state
        encoded.last_hidden_state = states_BTH[:, : asked_BU.shape[1]][asked_BU].unsqueeze(0)
        return encoded

    handle = encoder_of(body).register_forward_hook(asked_alone)  # a head works on each token by itself
    try:
        logits_NV: torch.Tensor = body(input_ids=input_ids_BT, attention_mask=attention_BT).logits[0]
    finally:
        handle.remove()
    return logits_NV
