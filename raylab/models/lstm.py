"""Bidirectional LSTMs (Hochreiter and Schmidhuber 1997; Schuster and Paliwal 1997) as a model of transformers.

Saved and loaded like any other: `AutoModelForMaskedLM.from_pretrained(FOLDER)`, once this module is imported.
Letters: B rows, T tokens, E width of the token embeddings, H = twice the width of a direction.
"""

from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from raylab.recipe import ModelSpec

SCALES = {"tiny": (2, 96), "small": (4, 256), "base": (4, 512)}  # layers, width; the larger ones our reading of Wang et al. 2020


class LstmConfig(PretrainedConfig):
    """width: of each direction, so that a state has twice as many numbers. embedding_size: of a token's embedding."""

    model_type = "raylab-lstm"

    def __init__(
        self, vocab_size: int = 1000, width: int = 96, num_hidden_layers: int = 2, embedding_size: int = 96,
        dropout: float = 0.0, initializer_range: float = 0.02, tie_word_embeddings: bool = True, **others: Any,
    ) -> None:  # fmt: skip
        self.vocab_size, self.width, self.num_hidden_layers, self.embedding_size = (
            vocab_size, width, num_hidden_layers, embedding_size,
        )  # fmt: skip
        self.dropout, self.initializer_range = dropout, initializer_range
        super().__init__(tie_word_embeddings=tie_word_embeddings, **others)

    @property
    def hidden_size(self) -> int:
        """Of a state: both directions."""
        return 2 * self.width

    @property
    def mixes_embeddings(self) -> bool:
        """Whether the embeddings stand among the states of all layers: twice over, as ELMo has them (Peters et al. 2018), which
        makes them as wide as the others, unless they have a width of their own."""
        return self.embedding_size == self.width


class _Lstm(PreTrainedModel):
    config_class = LstmConfig
    base_model_prefix = "lstm"


class LstmModel(_Lstm):
    """The states of every token, read from both sides. Padding stands at the end of a row and is not read."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        widths = [config.embedding_size, *[config.hidden_size] * (config.num_hidden_layers - 1)]
        self.layers = nn.ModuleList(nn.LSTM(width, config.width, batch_first=True, bidirectional=True) for width in widths)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embeddings = value

    def forward(
        self, input_ids: torch.Tensor | None = None, attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None, output_hidden_states: bool = False, **_: Any,
    ) -> BaseModelOutput:  # fmt: skip
        states = self.dropout(self.embeddings(input_ids) if inputs_embeds is None else inputs_embeds)
        rows, tokens = states.shape[:2]
        lengths_B = torch.full((rows,), tokens) if attention_mask is None else attention_mask.sum(1).clamp(min=1).cpu()
        every = [torch.cat([states, states], dim=-1)] if self.config.mixes_embeddings else []
        for layer in self.layers:
            packed, _ = layer(pack_padded_sequence(states, lengths_B, batch_first=True, enforce_sorted=False))
            states = self.dropout(pad_packed_sequence(packed, batch_first=True, total_length=tokens)[0])
            every.append(states)
        return BaseModelOutput(last_hidden_state=states, hidden_states=tuple(every) if output_hidden_states else None)


class LstmForMaskedLM(_Lstm):
    """With a masked language model's head; its output layer is the token embeddings."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"decoder.weight": "lstm.embeddings.weight"}

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.lstm = LstmModel(config)
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.norm = nn.LayerNorm(config.embedding_size)
        self.decoder = nn.Linear(config.embedding_size, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.decoder = value

    def forward(self, input_ids: torch.Tensor | None = None, **inputs: Any) -> MaskedLMOutput:
        encoded = self.lstm(input_ids, **inputs)
        logits_BTV = self.decoder(self.norm(nn.functional.gelu(self.dense(encoded.last_hidden_state))))
        return MaskedLMOutput(logits=logits_BTV, hidden_states=encoded.hidden_states)


AutoConfig.register(LstmConfig.model_type, LstmConfig)
AutoModel.register(LstmConfig, LstmModel)
AutoModelForMaskedLM.register(LstmConfig, LstmForMaskedLM)


def lstm(spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, embeddings_VE: torch.Tensor | None = None) -> PreTrainedModel:
    """A bidirectional LSTM, weights from torch's random state; its token embeddings begin as those given, if any are."""
    layers, width = SCALES[spec.scale]
    layers, width = spec.layers or layers, spec.width or width
    config = LstmConfig(
        vocab_size=len(tokenizer), width=width, num_hidden_layers=layers, dropout=spec.dropout,
        embedding_size=width if embeddings_VE is None else embeddings_VE.shape[1], pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = LstmForMaskedLM(config)
    if embeddings_VE is not None:
        rows = min(len(embeddings_VE), len(tokenizer))
        with torch.no_grad():
            model.get_input_embeddings().weight[:rows] = embeddings_VE[:rows]
    return model
