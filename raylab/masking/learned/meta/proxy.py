"""The proxy: an encoder-decoder whose losses are functions of its parameters.

Letters: R rows, T input positions, U label positions, H width.
"""

from typing import Any

import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raylab.errors import UserError
from raylab.masking.learned.meta.unrolled import Params
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.training.batching import MicroBatch
from raylab.training.loop import decode


class Proxy:
    """A model called with parameters from elsewhere, as `raylab.training.loop.decode` calls a model."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.config = model.config
        embeddings = model.get_input_embeddings()
        self._embeddings = next(name for name, module in model.named_modules() if module is embeddings)
        self._table = next(name for name, value in model.named_parameters() if value is embeddings.weight)

    @classmethod
    def of(cls, spec: ModelSpec, tokenizer: PreTrainedTokenizerBase, seed: int, device: torch.device) -> "Proxy":
        """The base model, its attention written out: the fused kernels have no second derivative."""
        model = build(spec, tokenizer, seed)
        if not model.config.is_encoder_decoder:
            raise UserError(
                "meta-learning needs an encoder-decoder as its inner model, which answers questions; got a "
                f"{model.config.model_type}. Give a T5- or BART-like base, or `raylab policy learn supervised`."
            )
        model.set_attn_implementation("eager")
        return cls(model.to(device))

    def parameters(self) -> dict[str, torch.Tensor]:
        """The model's own parameters by name, detached."""
        return {name: value.detach() for name, value in self.model.named_parameters()}

    def nats(self, params: Params, batch: MicroBatch, inputs_RTH: torch.Tensor | None = None) -> torch.Tensor:
        """Cross-entropy of each label, (R, U), zero at padding. inputs_RTH: input embeddings instead of the batch's ids."""
        instead = {} if inputs_RTH is None else {"inputs_embeds": inputs_RTH}
        logits_RUV = decode(_Called(self, params, instead), batch)
        return cross_entropy(logits_RUV.transpose(1, 2).float(), batch.labels_BU, ignore_index=-100, reduction="none")

    def mixed_loss(self, params: Params, batch: MicroBatch, hidden_RT: torch.Tensor, mask: int) -> torch.Tensor:
        """Cross-entropy of the whole passage, each position weighed by how far it is hidden, in nats a hidden token.

        batch: the passage as input and as labels, position by position. An input position is so much of the mask symbol's
        embedding as it is hidden, and the token's for the rest.
        """
        there_RT = batch.attention_BT.to(hidden_RT.dtype)
        weight_RT = hidden_RT * there_RT
        tokens_RTH, mask_RTH = (
            self._embedded(params, ids) for ids in (batch.input_ids_BT, torch.full_like(batch.input_ids_BT, mask))
        )
        inputs_RTH = tokens_RTH + weight_RT[..., None] * (mask_RTH - tokens_RTH)
        return (weight_RT * self.nats(params, batch, inputs_RTH)).sum() / weight_RT.sum()

    def _embedded(self, params: Params, ids_RT: torch.Tensor) -> torch.Tensor:
        module = self.model.get_submodule(self._embeddings)  # BART's scales what it looks up
        embedded: torch.Tensor = functional_call(module, {"weight": params[self._table]}, (ids_RT,))
        return embedded


class _Called:
    """What stands in for a model where one is called: its parameters, and perhaps its input embeddings, come from elsewhere."""

    def __init__(self, proxy: Proxy, params: Params, instead: dict[str, torch.Tensor]) -> None:
        self.config, self._proxy, self._params, self._instead = proxy.config, proxy, params, instead

    def __call__(self, **inputs: Any) -> Any:
        if self._instead:
            inputs = {name: value for name, value in inputs.items() if name != "input_ids"} | self._instead
        return functional_call(self._proxy.model, dict(self._params), kwargs=inputs)
