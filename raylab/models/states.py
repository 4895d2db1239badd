"""The hidden states of a body's encoder, whatever the body: what heads of tasks are set upon.

Letters: B rows, T tokens, H width of a state, V vocabulary, N tokens that are asked for. A body is an encoder with the
head of a masked language model (BERT-like, bidirectional LSTM), of which the head is left out here, or an encoder-decoder
(T5, BART), of which the encoder is run alone. Padding stands at the end of rows.
"""

from typing import Any

import torch
from transformers import PreTrainedModel

from raylab.models.padding import told


def encoder_states(
    body: PreTrainedModel, input_ids_BT: torch.Tensor | None, attention_BT: torch.Tensor, segments_BT: torch.Tensor | None = None,
    embeddings_BTH: torch.Tensor | None = None,
) -> torch.Tensor:  # fmt: skip
    """The encoder's last hidden states (B, T, H).

    segments_BT: 0 and 1 in a task of two texts; bodies that know no segments leave them aside. embeddings_BTH: read in place
    of the tokens' own (`embedded`), for noise upon them; input_ids_BT is then left aside.
    """
    states: torch.Tensor = _encoded(body, input_ids_BT, attention_BT, segments_BT, embeddings_BTH).last_hidden_state
    return states


def all_states(
    body: PreTrainedModel, input_ids_BT: torch.Tensor | None, attention_BT: torch.Tensor, segments_BT: torch.Tensor | None = None,
    embeddings_BTH: torch.Tensor | None = None,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """The states (B, T, H) of every layer of the encoder: its embeddings first, then each layer's, `states_of(body)` in all.
    The last ones are `encoder_states`."""
    every = _encoded(body, input_ids_BT, attention_BT, segments_BT, embeddings_BTH, output_hidden_states=True).hidden_states
    return tuple(every)


def embedded(body: PreTrainedModel, input_ids_BT: torch.Tensor) -> torch.Tensor:
    """The token embeddings (B, T, E) that the encoder reads, before positions and segments are added."""
    embeddings: torch.Tensor = body.get_input_embeddings()(input_ids_BT)
    return embeddings


def width_of(body: PreTrainedModel) -> int:
    """H."""
    return int(body.config.hidden_size)


def layers_of(body: PreTrainedModel) -> int:
    """Layers of the encoder."""
    config = body.config
    return int(getattr(config, "encoder_layers", None) or config.num_hidden_layers)


def states_of(body: PreTrainedModel) -> int:
    """How many states `all_states` gives: one a layer, and the embeddings (unless an LSTM's have a width of their own)."""
    return layers_of(body) + getattr(body.config, "mixes_embeddings", True)


def encoder_of(body: PreTrainedModel) -> Any:
    """The encoder, without any head."""
    return body.get_encoder() if body.config.is_encoder_decoder else body.base_model


def _encoded(
    body: PreTrainedModel, input_ids_BT: torch.Tensor | None, attention_BT: torch.Tensor, segments_BT: torch.Tensor | None,
    embeddings_BTH: torch.Tensor | None, **more: Any,
) -> Any:  # fmt: skip
    inputs = {"input_ids": input_ids_BT} if embeddings_BTH is None else {"inputs_embeds": embeddings_BTH}
    if segments_BT is not None and getattr(body.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = segments_BT
    return encoder_of(body)(**inputs, attention_mask=told(attention_BT), **more)
