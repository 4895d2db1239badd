"""What families have in common that ask for words: a text in, a text out, by an encoder-decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from raylab.data.stored import StoredIds
from raylab.data.tokenizer import ids_of
from raylab.errors import UserError
from raylab.masking.corrupt import Batch
from raylab.models.headed import body_of
from raylab.training.batching import MicroBatch, pairs, to_device
from raylab.training.loop import sequence_loss
from raylab.training.objective import Mode, Objective


@dataclass(frozen=True, kw_only=True, eq=False)
class Writes(Objective):
    """A family whose answers are texts; both sides are cut to the longest that the data were prepared for."""

    writes: ClassVar[bool] = True
    source: ClassVar[str]  # the example's text in
    target: ClassVar[str]  # the text out, as it is learned

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> nn.Module:
        config: Any = model.config
        if not config.is_encoder_decoder:
            raise UserError(
                f"{self.data.task} asks for an answer in words, which a {config.model_type} model does not write. Take an "
                "encoder-decoder (T5, BART, ...)."
            )
        if mode != "full":
            raise UserError(f"{self.data.task} has no head that could be trained on frozen features; finetune it in full.")
        return model

    @cached_property
    def _train(self) -> tuple[StoredIds, StoredIds]:
        return self.data.ids("train", self.source), self.data.ids("train", self.target)

    def lengths(self) -> np.ndarray:
        return self._train[0].lengths

    def batch(self, rows: Sequence[int]) -> Batch:
        sources, targets = self._train
        return self._pairs([sources[row] for row in rows], [targets[row] for row in rows])

    def _pairs(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Batch:
        return pairs(sources, targets, self.data.symbols.eos, self.data.symbols.pad, self.data.max_tokens + 1)

    def loss(self, model: nn.Module, batch: MicroBatch) -> torch.Tensor:
        return sequence_loss(body_of(model), batch)

    def size(self, example: Any) -> int:
        return len(getattr(example, self.source))

    def read(self, examples: Sequence[Any], device: torch.device) -> MicroBatch:
        """Examples on the device, sources and targets."""
        sources, targets = (
            ids_of(self.data.tokenizer, [getattr(example, field) for example in examples]) for field in (self.source, self.target)
        )
        return to_device(self._pairs(sources, targets), slice(None), device)

    def written(self, model: nn.Module, batch: MicroBatch, most_tokens: int) -> list[str]:
        """The greedy outputs for the sources of a batch."""
        generated = body_of(model).generate(
            input_ids=batch.input_ids_BT,
            attention_mask=batch.attention_BT,
            max_new_tokens=most_tokens,
            do_sample=False,
            num_beams=1,
        )
        texts: list[str] = self.data.tokenizer.batch_decode(generated, skip_special_tokens=True)
        return texts
