"""What a training step costs in floating-point operations, from the shapes alone.

A forward pass takes two operations a weight and token, plus attention's two products of a query with every key; a
backward pass twice that (Kaplan et al. 2020, appendix B). Padding is not counted: these are useful operations.
"""

from dataclasses import dataclass

from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """Weights a token passes in the encoder, in the decoder, and in the output layer; width and layers for attention."""

    encoder_weights: int
    decoder_weights: int
    output_weights: int
    width: int
    layers: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> "CostModel":
        embeddings = model.get_input_embeddings().weight
        own = sum(p.numel() for p in model.get_encoder().parameters()) - embeddings.numel()
        other = sum(p.numel() for p in model.get_decoder().parameters()) - embeddings.numel()
        layers = getattr(model.config, "num_layers", None) or model.config.encoder_layers
        return cls(
            encoder_weights=own, decoder_weights=other, output_weights=embeddings.numel(), width=embeddings.shape[1], layers=layers
        )

    def training_flops(self, input_tokens: float, target_tokens: float, input_length: float, target_length: float) -> float:
        """Operations of one forward and backward pass over that many tokens in sequences of these mean lengths."""
        weights = self.encoder_weights * input_tokens + (self.decoder_weights + self.output_weights) * target_tokens
        attended = input_tokens * input_length + target_tokens * (target_length + input_length)
        return 3 * (2 * weights + 4 * self.layers * self.width * attended)
