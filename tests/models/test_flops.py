"""The cost of a step from its shapes is what torch counts while it runs."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from raylab.data.prepared import Prepared
from raylab.models.build import build
from raylab.models.flops import CostModel
from raylab.recipe import ModelSpec
from raylab.training.loop import MicroBatch, sequence_loss
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


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
