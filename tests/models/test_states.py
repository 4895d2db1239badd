"""The hidden states of every body, without its padding's doing."""

from typing import Any

import pytest
import torch

from raylab.models.build import build
from raylab.models.scalar_mix import ScalarMix
from raylab.models.states import all_states, embedded, encoder_states, states_of, width_of
from raylab.recipe import ModelSpec
from tests.models.test_build import ENCODERS, encoder
from tests.models.test_encoder_decoder import Vocabulary

FAMILIES = ("t5", "bart", "roberta", "lstm")
IDS_BT = torch.tensor([[40, 50, 60, 70, 2], [41, 51, 2, 0, 0]])
THERE_BT = IDS_BT != 0


@pytest.fixture(params=[*FAMILIES, *ENCODERS])
def body(request: pytest.FixtureRequest) -> Any:
    if request.param in FAMILIES:
        return build(ModelSpec(family=request.param), Vocabulary(300), 0).eval()
    return encoder(request.param).eval()


@torch.no_grad()
def test_states_of_every_body(body: Any) -> None:
    states_BTH = encoder_states(body, IDS_BT, THERE_BT)
    assert states_BTH.shape == (*IDS_BT.shape, width_of(body))
    every = all_states(body, IDS_BT, THERE_BT)
    assert len(every) == states_of(body)
    assert {layer.shape for layer in every} == {states_BTH.shape}
    assert torch.equal(every[-1], states_BTH)


@torch.no_grad()
def test_padding_is_not_read(body: Any) -> None:
    states_BTH = encoder_states(body, IDS_BT, THERE_BT)
    alone_BTH = encoder_states(body, IDS_BT[1:, :3], THERE_BT[1:, :3])
    assert torch.allclose(states_BTH[1:, :3], alone_BTH, atol=1e-4)


@torch.no_grad()
def test_embeddings_may_stand_for_the_tokens(body: Any) -> None:
    states_BTH = encoder_states(body, IDS_BT, THERE_BT)
    given_BTH = encoder_states(body, None, THERE_BT, embeddings_BTH=embedded(body, IDS_BT))
    assert torch.allclose(given_BTH[THERE_BT], states_BTH[THERE_BT], atol=1e-4)


@torch.no_grad()
def test_segments_are_told_to_those_that_know_them(body: Any) -> None:
    segments_BT = torch.tensor([[0, 0, 1, 1, 1], [0, 0, 0, 0, 0]])
    plain, told = encoder_states(body, IDS_BT, THERE_BT), encoder_states(body, IDS_BT, THERE_BT, segments_BT)
    knows = getattr(body.config, "type_vocab_size", 0) > 1
    assert torch.allclose(plain[0], told[0]) != knows


def test_a_mix_begins_as_the_mean_and_learns_which_layer_matters() -> None:
    layers = [torch.randn(2, 3, 4) for _ in range(3)]
    mix = ScalarMix(3)
    assert torch.allclose(mix(layers), torch.stack(layers).mean(0), atol=1e-6)
    optimizer = torch.optim.Adam(mix.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (mix(layers) - 2 * layers[1]).square().mean().backward()
        optimizer.step()
    assert mix.scores.softmax(0)[1] > 0.95
    assert mix.gamma.item() == pytest.approx(2, rel=0.1)
