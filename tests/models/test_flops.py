"""The cost of a step from its shapes is what torch counts while it runs."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.models.flops import CostModel
from raylab.models.masked_lm import masked_loss
from raylab.recipe import ModelSpec
from raylab.training.loop import MicroBatch, sequence_loss
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize(("rows", "inputs", "targets"), [(4, 48, 7), (1, 5, 5)])
def test_an_encoder_asked_at_some_tokens(rows: int, inputs: int, targets: int, data: Prepared) -> None:
    model = build(ModelSpec(family="roberta"), data.tokenizer, seed=0)
    model.set_attn_implementation("eager")
    ids_BT, labels_BT = torch.full((rows, inputs), 50), torch.full((rows, inputs), -100)
    labels_BT[:, :targets] = 60
    batch = MicroBatch(
        input_ids_BT=ids_BT, attention_BT=torch.ones_like(ids_BT), labels_BU=labels_BT,
        asked_N=torch.nonzero(labels_BT.flatten() != -100).flatten(),
    )  # fmt: skip
    with FlopCounterMode(display=False) as counter:
        masked_loss(model, batch).backward()
    told = CostModel.of(model).training_flops(rows * inputs, rows * targets, inputs, targets)
    assert told == counter.get_total_flops()


def test_a_token_passes_every_weight_of_an_lstm_once(data: Prepared) -> None:
    model = build(ModelSpec(family="lstm", layers=2, width=10), data.tokenizer, seed=0)
    first, second = 2 * 4 * 10 * (10 + 10), 2 * 4 * 10 * (20 + 10)  # both directions, four gates, input and state
    cost = CostModel.of(model)
    assert cost.input_weights == first + second
    assert cost.target_weights == 20 * 10 + 10 * len(data.tokenizer)
    assert cost.training_flops(1, 0, 9, 9) == 6 * (first + second)


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize(("rows", "inputs", "targets"), [(4, 48, 16), (1, 5, 30)])
def test_equal_to_a_direct_count(family: Any, rows: int, inputs: int, targets: int, data: Prepared) -> None:
    model = build(ModelSpec(family=family), data.tokenizer, seed=0)
    model.set_attn_implementation("eager")  # the counter does not see into fused attention
    ids_BT, labels_BU = torch.full((rows, inputs), 50), torch.full((rows, targets), 60)
    with FlopCounterMode(display=False) as counter:
        batch = MicroBatch(input_ids_BT=ids_BT, attention_BT=torch.ones_like(ids_BT), labels_BU=labels_BU)
        sequence_loss(model, batch).backward()
    told = CostModel.of(model).training_flops(rows * inputs, rows * targets, inputs, targets)
    assert told == counter.get_total_flops()
