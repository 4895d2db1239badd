"""A loss computed at the tokens that are asked for alone is the loss."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from raylab.models.masked_lm import masked_loss
from raylab.training.batching import MicroBatch
from raylab.training.loop import sequence_loss
from tests.models.test_states import IDS_BT, THERE_BT, body  # noqa: F401 (a fixture)

LABELS_BU = torch.tensor([[-100, 50, -100, 70], [41, -100, -100, -100]])
WHOLE = MicroBatch(input_ids_BT=IDS_BT, attention_BT=THERE_BT, labels_BU=LABELS_BU)


def loss(body: Any, batch: MicroBatch) -> torch.Tensor:  # noqa: F811
    return (sequence_loss if body.config.is_encoder_decoder else masked_loss)(body, batch)


def gradients(body: Any, batch: MicroBatch) -> dict[str, torch.Tensor]:  # noqa: F811
    body.zero_grad(set_to_none=True)
    loss(body, batch).backward()
    return {name: p.grad.clone() for name, p in body.named_parameters() if p.grad is not None}


def test_it_is_the_loss_of_all_tokens(body: Any) -> None:  # noqa: F811
    asked = replace(WHOLE, asked_N=(LABELS_BU != -100).flatten().nonzero().flatten())
    assert loss(body, asked).item() == pytest.approx(loss(body, WHOLE).item(), rel=1e-5)
    expected, found = gradients(body, WHOLE), gradients(body, asked)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5), name


def test_nothing_asked_costs_nothing_and_leaves_the_body_as_it_was(body: Any) -> None:  # noqa: F811
    before = loss(body, WHOLE).item()
    labels_BU = torch.full_like(LABELS_BU, -100)
    nothing = replace(WHOLE, labels_BU=labels_BU, asked_N=torch.zeros(0, dtype=torch.long))
    assert loss(body, nothing).item() == 0
    assert loss(body, WHOLE).item() == before
