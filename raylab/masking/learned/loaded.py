"""A learned policy outside raylab: the collator of a plain transformers Trainer. Needs torch, transformers, safetensors, numpy.

policy = raylab.load_policy("PATH/OF/A/CARD")
collator = policy.collator(model, tokenizer)
Trainer(model=model, train_dataset=tokenised, data_collator=collator, ...)
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raylab.data.tokenizer import symbols_of
from raylab.errors import UserError
from raylab.masking.corrupt import Batch, Target, corrupt, mlm
from raylab.masking.learned.card import Card, load, tokenizer_of
from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.scoring import Reading, best_spans
from raylab.masking.policies.learned import drawn
from raylab.masking.policy import Mask, Passages, Spans, spans_of


def load_policy(path: str | Path) -> "LoadedPolicy":
    """The masking policy in a card's folder. Raises UserError if there is none, it is damaged, or of a later format."""
    folder = Path(path).expanduser()
    extractor, card = load(folder)
    return LoadedPolicy(folder=folder, extractor=extractor, card=card)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedPolicy:
    """A learned policy: its scorer, and what its card says."""

    folder: Path
    extractor: Extractor
    card: Card

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that the policy came with."""
        return tokenizer_of(self.folder)

    def collator(
        self, model: Any, tokenizer: Any = None, *, target: Target = "spans", spans: int = 1, top: int = 5,
        temperature: float = 1.0, max_length: int = 512, seed: int = 0,
    ) -> "Collator":  # fmt: skip
        """What makes batches of tokenised passages (each with `input_ids`) for a model, masked by the policy.

        An encoder-decoder is asked for the hidden spans, or with target "sentence" for the whole passage; an encoder for the
        hidden tokens in their places. tokenizer: the one the passages were tokenised with (default: the policy's own). spans,
        top, temperature: as of raylab.masking.policies.learned.Learned. max_length: tokens of the longest input and target.

        Raises UserError for a tokenizer, or a model, that the policy's token ids do not fit.
        """
        tokenizer = tokenizer or self.tokenizer
        self.card.check_tokenizer(tokenizer, "the one given")
        rows = model.get_input_embeddings().weight.shape[0]
        if rows < len(tokenizer):
            raise UserError(
                f"the model has {rows:,} token embeddings, but the tokenizer of the policy {self.card.name!r} has "
                f"{len(tokenizer):,} entries. Give the model that goes with this tokenizer."
            )
        return Collator(
            self.extractor, tokenizer, encoder=not model.config.is_encoder_decoder, target=target, spans=spans, top=top,
            temperature=temperature, max_length=max_length, seed=seed,
        )  # fmt: skip


class Collator:
    """Called with a list of tokenised passages, gives input_ids, attention_mask and labels, as tensors."""

    def __init__(
        self, extractor: Extractor, tokenizer: Any, *, encoder: bool, target: Target, spans: int, top: int, temperature: float,
        max_length: int, seed: int,
    ) -> None:  # fmt: skip
        self.extractor, self.encoder, self.target = extractor, encoder, target
        self.spans, self.top, self.temperature = spans, top, temperature
        self.max_length, self.seed = max_length, seed
        self.symbols = symbols_of(tokenizer)
        self.special = np.array(sorted(tokenizer.all_special_ids), dtype=np.int64)
        self._rng: tuple[int, np.random.Generator] | None = None

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        passages = self._passages([np.asarray(feature["input_ids"], dtype=np.int64) for feature in features])
        batch = self._asked(passages, self._mask(passages))
        return {
            "input_ids": torch.from_numpy(batch.input_ids_BT), "attention_mask": torch.from_numpy(batch.attention_BT).long(),
            "labels": torch.from_numpy(batch.labels_BU),
        }  # fmt: skip

    def _passages(self, rows: list[np.ndarray]) -> Passages:
        """The passages end to end. An encoder-decoder's have their special tokens set anew by `corrupt`."""
        kept = [row[: self.max_length] for row in rows] if self.encoder else [row[~np.isin(row, self.special)] for row in rows]
        tokens_N = np.concatenate([np.zeros(0, np.int64), *kept])
        maskable_N = ~np.isin(tokens_N, self.special)
        return Passages(
            tokens_N=tokens_N, starts_R1=np.concatenate([[0], np.cumsum([len(row) for row in kept])]).astype(np.int64),
            maskable_N=maskable_N, word_starts_N=maskable_N, vocab_size=self.symbols.vocab_size, spans={}, weights={},
        )  # fmt: skip

    def _mask(self, passages: Passages) -> Mask:
        return drawn(
            passages, self._spans(passages), top=self.top, count=self.spans, temperature=self.temperature, rng=self._generator()
        )

    def _spans(self, passages: Passages) -> Spans:
        """The policy's spans. It reads passages as it learned to: without special tokens."""
        own = np.flatnonzero(passages.maskable_N)
        starts_R1 = np.searchsorted(own, passages.starts_R1)
        reading = Reading(tokens_N=passages.tokens_N[own], starts_P1=starts_R1, maskable_N=np.ones(len(own), bool))
        found_S3 = best_spans(self.extractor, reading)
        places = found_S3[:, :2].astype(np.int64)
        found_S3[:, 0], found_S3[:, 1] = own[places[:, 0]], own[places[:, 1] - 1] + 1
        return spans_of(found_S3)

    def _asked(self, passages: Passages, mask: Mask) -> Batch:
        if self.encoder:
            return mlm(passages, mask, self.symbols)
        return corrupt(passages, mask, self.symbols, self.target, self.max_length)

    def _generator(self) -> np.random.Generator:
        """Each process of a data loader draws of its own: torch gives each its own seed, and all follow `set_seed`."""
        if self._rng is None or self._rng[0] != os.getpid():
            self._rng = os.getpid(), np.random.default_rng([self.seed, torch.initial_seed() % 2**63])
        return self._rng[1]
