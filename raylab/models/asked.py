"""A loss over the vocabulary, computed at the tokens that are asked for alone.

The product with the whole vocabulary costs a token as much as layers of a small model do. transformers' own forward passes
take it at every token: of an encoder those that are not hidden, too, of a decoder the padding of short targets.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.masking.corrupt import IGNORED
from raylab.training.batching import MicroBatch


def asked_loss(batch: MicroBatch, trunk: nn.Module, logits: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Cross-entropy of a batch's labels, summed, in nats.

    trunk: the part of a model whose last hidden states its output layer reads, each by itself. logits: runs the model, and gives
    its logits (B, T, V), the ones of labels_BU first.
    """
    labels_BU, asked_N = batch.labels_BU, batch.asked_N
    if asked_N is None:
        logits_BUV = logits()[:, : labels_BU.shape[1]]
        return cross_entropy(logits_BUV.flatten(0, 1).float(), labels_BU.flatten(), ignore_index=IGNORED, reduction="sum")
    with _asked_alone(trunk, asked_N, labels_BU.shape[1]):
        logits_NV = logits()[0]
    return cross_entropy(logits_NV.float(), labels_BU.flatten()[asked_N], reduction="sum")


@contextmanager
def _asked_alone(trunk: nn.Module, asked_N: torch.Tensor, width: int) -> Iterator[None]:
    """Inside, what follows the trunk sees one row of the N states that are asked for."""

    def select(_module: nn.Module, _arguments: Any, run: Any) -> Any:
        states_BUH = run.last_hidden_state[:, :width]
        run.last_hidden_state = states_BUH.flatten(0, 1).index_select(0, asked_N).unsqueeze(0)
        return run

    handle = trunk.register_forward_hook(select)
    try:
        yield
    finally:
        handle.remove()
