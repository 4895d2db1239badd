"""What a training step costs in floating-point operations, from the shapes alone.

A forward pass takes two operations a weight and token, plus attention's two products of a query with every key; a
backward pass twice that (Kaplan et al. 2020, appendix B). Padding is not counted: these are useful operations. What a body
does beside (DeBERTa's products with relative positions) is not counted either.
"""

import re
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from raylab.models.states import encoder_of, layers_of, width_of

# the decoder's keys and values of the input, in T5 and in the BART family
_CROSS = re.compile(r"(EncDecAttention|encoder_attn)\.[kv](_proj)?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """Weights of the products that an input token passes (the encoder's, and a decoder's keys and values of it) and
    that a target token passes (a decoder's others, and the output layer); width and layers for attention, of which an encoder
    alone has none for its targets."""

    input_weights: int
    target_weights: int
    width: int
    layers: int
    decodes: bool = True

    @classmethod
    def of(cls, model: nn.Module) -> "CostModel":
        """Of a body as it is pretrained, or of one with heads (raylab.models.headed), whose targets pass the heads alone."""
        body: PreTrainedModel = getattr(model, "body", model)
        heads: nn.Module | None = getattr(model, "heads", None)
        decodes = bool(body.config.is_encoder_decoder) and heads is None
        encoder = _weights(encoder_of(body))
        crossing, target = _decoder(body) if decodes else (0, _weights(heads) if heads else _weights(body) - encoder)
        return cls(
            input_weights=encoder + crossing, target_weights=target, width=width_of(body),
            layers=layers_of(body) if _attends(body) else 0, decodes=decodes,
        )  # fmt: skip

    def training_flops(self, input_tokens: float, target_tokens: float, input_length: float, target_length: float) -> float:
        """Operations of one forward and backward pass over that many tokens in sequences of these mean lengths."""
        weights = self.input_weights * input_tokens + self.target_weights * target_tokens
        attended = input_tokens * input_length
        if self.decodes:
            attended += target_tokens * (target_length + input_length)
        return 3 * (2 * weights + 4 * self.layers * self.width * attended)


def _decoder(body: PreTrainedModel) -> tuple[int, int]:
    """The weights that an input token passes in the decoder, and those that a target token does."""
    decoder = _products(body.get_decoder())
    crossing = sum(weights for name, weights in decoder.items() if _CROSS.search(name))
    return crossing, sum(decoder.values()) - crossing + body.get_input_embeddings().weight.numel()


def _attends(body: PreTrainedModel) -> bool:
    return not any(isinstance(module, nn.LSTM) for module in body.modules())


def _weights(part: nn.Module) -> int:
    return sum(_products(part).values())


def _products(part: nn.Module) -> dict[str, int]:
    """The weights of every linear layer and every LSTM, by name."""
    return {
        name: sum(weight.numel() for weight in module.parameters(recurse=False) if weight.ndim == 2)
        for name, module in part.named_modules()
        if isinstance(module, (nn.Linear, nn.LSTM))
    }
