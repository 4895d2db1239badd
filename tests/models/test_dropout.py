"""The dropout of every family of models, changed where it stands."""

import pytest
import torch

from raylab.models.build import build
from raylab.models.dropout import set_dropout
from raylab.models.headed import with_head
from raylab.models.states import encoder_states
from raylab.recipe import ModelSpec
from tests.models.test_encoder_decoder import Vocabulary

IDS_BT = torch.arange(40, 60).reshape(2, 10)
THERE_BT = torch.ones_like(IDS_BT, dtype=torch.bool)


@pytest.mark.parametrize("family", ["t5", "bart", "roberta", "lstm"])
@torch.no_grad()
def test_a_model_drops_as_much_as_it_is_told(family: str) -> None:
    model = build(ModelSpec(family=family, dropout=0.1), Vocabulary(300), 0)  # type: ignore[arg-type]
    still = encoder_states(model.eval(), IDS_BT, THERE_BT)
    set_dropout(model, 0.0)
    assert torch.allclose(encoder_states(model.train(), IDS_BT, THERE_BT), still, atol=1e-6), "something still drops"
    set_dropout(model, 0.5)
    assert not torch.allclose(encoder_states(model, IDS_BT, THERE_BT), still, atol=1e-3)
    assert torch.allclose(encoder_states(model.eval(), IDS_BT, THERE_BT), still, atol=1e-6)


def test_a_head_drops_with_its_body() -> None:
    headed = with_head(build(ModelSpec(family="roberta"), Vocabulary(300), 0), "task", 2, "full", 0)
    set_dropout(headed, 0.25)
    assert {m.p for m in headed.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}
