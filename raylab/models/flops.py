"""What a training step costs in floating-point operations, from the shapes alone.

A forward pass takes two operations a weight and token, plus attention's two products of a query with every key; a
backward pass twice that (Kaplan et al. 2020, appendix B). Padding is not counted: these are useful operations.
"""

import re
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

# the decoder's keys and values of the input, in T5 and in the BART family
_CROSS = re.compile(r"(EncDecAttention|encoder_attn)\.[kv](_proj)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """Weights of the products that an input token passes (the encoder's, and the decoder's keys and values of it) and
    that a target token passes (the decoder's others, and the output layer); width and layers for attention."""

    input_weights: int
    target_weights: int
    width: int
    layers: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> "CostModel":
        encoder, decoder = _products(model.get_encoder()), _products(model.get_decoder())
        crossing = sum(weights for name, weights in decoder.items() if _CROSS.search(name))
        embeddings = model.get_input_embeddings().weight
        return cls(
            input_weights=sum(encoder.values()) + crossing,
            target_weights=sum(decoder.values()) - crossing + embeddings.numel(),
            width=embeddings.shape[1],
            layers=getattr(model.config, "num_layers", None) or model.config.encoder_layers,
        )

    def training_flops(self, input_tokens: float, target_tokens: float, input_length: float, target_length: float) -> float:
        """Operations of one forward and backward pass over that many tokens in sequences of these mean lengths."""
        weights = self.input_weights * input_tokens + self.target_weights * target_tokens
        attended = input_tokens * input_length + target_tokens * (target_length + input_length)
        return 3 * (2 * weights + 4 * self.layers * self.width * attended)


def _products(part: nn.Module) -> dict[str, int]:
    """The weights of every linear layer, by name."""
    return {name: module.weight.numel() for name, module in part.named_modules() if isinstance(module, nn.Linear)}
