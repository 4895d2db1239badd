"""Replaced token detection (ELECTRA, Clark et al. 2020): a small generator fills in what is hidden, a body tells what is not
original.

The generator is an encoder of its own beside any body, an encoder or LSTM: it reads and writes through the body's token
embeddings. Positions are its own (our reading: the paper shares those as well). Letters as in raylab.models.states; E is the
width of the token embeddings.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, gelu, linear
from transformers import PreTrainedModel, RobertaPreLayerNormConfig, RobertaPreLayerNormModel

from raylab.masking.corrupt import IGNORED
from raylab.models.flops import CostModel
from raylab.models.states import embedded, encoder_states, layers_of, width_of
from raylab.training.batching import MicroBatch

LEAST_WIDTH = 32  # of a generator: a narrower one hardly learns more than how often tokens are
HEAD_WIDTH = 32  # of its attention: as narrow as raylab's smallest encoders have it


@dataclass(frozen=True, kw_only=True, slots=True)
class HiddenBatch(MicroBatch):
    """A masked batch, a number in [0, 1) for each label, which decides what the generator puts in its place, and what the
    detection of a token weighs beside the prediction of one."""

    draws_BU: torch.Tensor
    weight: float


class Generator(nn.Module):
    """A masked language model of a width of its own upon another's token embeddings."""

    def __init__(self, width: int, layers: int, inner: int, positions: int, embeddings: nn.Module, dropout: float) -> None:
        super().__init__()
        vocabulary, size = embeddings.weight.shape  # type: ignore[misc]
        self.inward = nn.Linear(size, width)
        self.encoder = RobertaPreLayerNormModel(_config(width, layers, inner, positions, dropout), add_pooling_layer=False)
        self.outward, self.norm, self.bias = nn.Linear(width, size), nn.LayerNorm(size), nn.Parameter(torch.zeros(vocabulary))

    def forward(
        self, embeddings_BTE: torch.Tensor, attention_BT: torch.Tensor, asked_BU: torch.Tensor, output_VE: torch.Tensor
    ) -> torch.Tensor:
        """Logits (N, V) at the tokens that are asked for, row by row."""
        encoded = self.encoder(inputs_embeds=self.inward(embeddings_BTE), attention_mask=attention_BT)
        states_NH = encoded.last_hidden_state[:, : asked_BU.shape[1]][asked_BU]
        return linear(self.norm(gelu(self.outward(states_NH))), output_VE, self.bias)


def _config(width: int, layers: int, inner: int, positions: int, dropout: float) -> RobertaPreLayerNormConfig:
    """With a vocabulary of one: it is given embeddings."""
    return RobertaPreLayerNormConfig(
        vocab_size=1, pad_token_id=0, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=inner, max_position_embeddings=positions + 1, type_vocab_size=1, layer_norm_eps=1e-5,
        bos_token_id=None, eos_token_id=None,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
    )  # fmt: skip


class Detection(nn.Module):
    """A body, which is to be pretrained, its generator, and the head that tells replaced tokens from original ones."""

    def __init__(self, body: PreTrainedModel, share: float, longest: int, seed: int) -> None:
        """share: of the body's width, which the generator has, in whole heads. longest: tokens of the longest row."""
        super().__init__()
        width = max(LEAST_WIDTH, round(share * width_of(body) / HEAD_WIDTH) * HEAD_WIDTH)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            embeddings = body.get_input_embeddings()
            self.generator = Generator(width, layers_of(body), 4 * width, longest, embeddings, _dropout(body))
            self.detector = nn.Sequential(nn.Linear(width_of(body), width_of(body)), nn.GELU(), nn.Linear(width_of(body), 1))
        self.body = body

    @property
    def config(self) -> Any:
        """The body's."""
        return self.body.config

    def costs(self) -> tuple[CostModel, CostModel]:
        """Of the generator, and of the body with the detector, which every token passes."""
        body = CostModel.of(self.body)
        generator = sum(p.numel() for module in self.generator.encoder.modules() for p in _products(module))
        output = self.body.get_input_embeddings().weight.numel()
        inward, outward = self.generator.inward.weight, self.generator.outward.weight
        detector = sum(p.numel() for module in self.detector.modules() for p in _products(module))
        config = self.generator.encoder.config
        return (
            CostModel(
                input_weights=inward.numel() + generator, target_weights=outward.numel() + output, width=config.hidden_size,
                layers=config.num_hidden_layers, decodes=False,
            ),
            CostModel(
                input_weights=body.input_weights + detector, target_weights=0, width=body.width, layers=body.layers, decodes=False
            ),
        )  # fmt: skip


def _products(module: nn.Module) -> list[torch.Tensor]:
    return [module.weight] if isinstance(module, nn.Linear) else []


def _dropout(body: PreTrainedModel) -> float:
    return float(getattr(body.config, "hidden_dropout_prob", getattr(body.config, "dropout", 0.0)))


def detection_loss(model: Detection, batch: MicroBatch) -> torch.Tensor:
    """Summed cross-entropy of the hidden tokens, in nats, and `weight` times that of which tokens of these rows are replaced."""
    assert isinstance(batch, HiddenBatch)
    asked_BU = batch.labels_BU != IGNORED
    originals_N = batch.labels_BU[asked_BU]
    logits_NV = generated(model, batch, asked_BU)
    read_BT, replaced_BT = filled(batch, asked_BU, sampled(logits_NV, batch.draws_BU[asked_BU]))
    counted_BT = batch.attention_BT & asked_BU.any(1, keepdim=True)  # a row that asks nothing stands in for none
    logits_BT = detected(model, read_BT, batch.attention_BT)
    detection = binary_cross_entropy_with_logits(logits_BT[counted_BT], replaced_BT[counted_BT].float(), reduction="sum")
    return cross_entropy(logits_NV, originals_N, reduction="sum") + batch.weight * detection


def generated(model: Detection, batch: MicroBatch, asked_BU: torch.Tensor) -> torch.Tensor:
    """The generator's logits (N, V) at the hidden tokens, in float32."""
    embeddings_VE = model.body.get_input_embeddings().weight
    inputs_BTE = embedded(model.body, batch.input_ids_BT)
    logits_NV: torch.Tensor = model.generator(inputs_BTE, batch.attention_BT, asked_BU, embeddings_VE)
    return logits_NV.float()


@torch.no_grad()
def sampled(logits_NV: torch.Tensor, draws_N: torch.Tensor) -> torch.Tensor:
    """Tokens (N) of these distributions: the first at which the sum of probabilities passes the draw."""
    sums_NV = logits_NV.softmax(-1).cumsum(-1)
    places_N1 = torch.searchsorted(sums_NV, draws_N.unsqueeze(1) * sums_NV[:, -1:], right=True)
    return places_N1.squeeze(1).clamp(max=logits_NV.shape[1] - 1)


def filled(batch: MicroBatch, asked_BU: torch.Tensor, tokens_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows (B, T) with these tokens where some were hidden, and where they are not the original ones."""
    asked_BT = torch.zeros_like(batch.attention_BT)
    asked_BT[:, : asked_BU.shape[1]] = asked_BU
    replaced_BT = torch.zeros_like(asked_BT)
    replaced_BT[asked_BT] = tokens_N != batch.labels_BU[asked_BU]
    return batch.input_ids_BT.masked_scatter(asked_BT, tokens_N), replaced_BT


@torch.no_grad()
def judged(model: Detection, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the N tokens of a batch: which of them the generator has replaced, and which the body takes to be."""
    assert isinstance(batch, HiddenBatch)
    asked_BU = batch.labels_BU != IGNORED
    tokens_N = sampled(generated(model, batch, asked_BU), batch.draws_BU[asked_BU])
    read_BT, replaced_BT = filled(batch, asked_BU, tokens_N)
    said_BT = detected(model, read_BT, batch.attention_BT) > 0
    return replaced_BT[batch.attention_BT], said_BT[batch.attention_BT]


def detected(model: Detection, ids_BT: torch.Tensor, attention_BT: torch.Tensor) -> torch.Tensor:
    """Logits (B, T) of a token's being replaced, in float32."""
    logits_BT: torch.Tensor = model.detector(encoder_states(model.body, ids_BT, attention_BT)).squeeze(-1)
    return logits_BT.float()
