"""What is trained: one stage of raylab a case, with the same data as transformers' Trainer takes them, row by row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorForLanguageModeling, DataCollatorForSeq2Seq

from raylab.data.prepared import Prepared
from raylab.masking.corrupt import corrupt
from raylab.masking.policies.uniform import Uniform
from raylab.models.masked_lm import masked_loss
from raylab.models.rates import pretraining_rates
from raylab.recipe import ModelSpec
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.batching import MicroBatch
from raylab.training.loop import sequence_loss
from raylab.training.objective import objective_of
from raylab.training.optimizer import Optimization

Rows = Sequence[Mapping[str, Any]]
Collator = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]
BERT = Uniform(rate=0.15, random_share=0.1, keep_share=0.1)  # the masking that the Trainer's own collator has


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """stage: what raylab trains, given the steps, the batch and the data. peer: the rows and the collator of the same. loss: in
    nats, summed over a batch's targets."""

    told: str
    family: str
    stage: Callable[[ModelSpec, int, int, Prepared], Denoise | Finetune]
    peer: Callable[[Prepared, int], tuple[Rows, Collator]]
    loss: Callable[[Any, MicroBatch], torch.Tensor] = sequence_loss

    def spec(self, scale: Any, precision: Any) -> ModelSpec:
        """The base model, from random weights."""
        return ModelSpec(family=self.family, scale=scale, precision=precision)  # type: ignore[arg-type]


def _spans(spec: ModelSpec, steps: int, batch_size: int, data: Prepared) -> Denoise:
    return Denoise(policy=Uniform(), target="spans", **_reading(spec, steps, batch_size, data))


def _tokens(spec: ModelSpec, steps: int, batch_size: int, data: Prepared) -> Denoise:
    return Denoise(policy=BERT, target="tokens", **_reading(spec, steps, batch_size, data))


def _reading(spec: ModelSpec, steps: int, batch_size: int, data: Prepared) -> dict[str, Any]:
    lengths_P = data.corpus.lengths_P
    return {
        "batch_size": batch_size,
        "budget_tokens": int(steps * min(batch_size, len(lengths_P)) * lengths_P.mean()),
        "optimization": Optimization(learning_rate=pretraining_rates(spec).usual),
    }


def _finetune(spec: ModelSpec, steps: int, batch_size: int, data: Prepared) -> Finetune:
    return Finetune(steps=steps, batch_size=batch_size)


def _peer_spans(data: Prepared, seed: int) -> tuple[Rows, Collator]:
    """transformers has no collator of span corruption in torch: raylab's own, of all rows of a batch at once, serves both."""
    rng = np.random.default_rng(seed)
    policy = Uniform()

    def collate(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        passages = data.corpus.passages(np.array([row["number"] for row in rows]))
        batch = corrupt(passages, policy.draw(passages, rng, 0.5), data.symbols, "spans", data.max_tokens + 1)
        arrays = {"input_ids": batch.input_ids_BT, "attention_mask": batch.attention_BT, "labels": batch.labels_BU}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    return [{"number": number, "input_ids": ids} for number, ids in enumerate(_ids(data))], collate


def _peer_tokens(data: Prepared, seed: int) -> tuple[Rows, Collator]:
    first = [data.tokenizer.cls_token_id] if data.tokenizer.cls_token_id is not None else []
    maskable = np.split(data.corpus.maskable_N, data.corpus.starts_P1[1:-1])
    rows = [
        {
            "input_ids": [*first, *ids, data.symbols.eos],
            "special_tokens_mask": [*(1 for _ in first), *(~free).astype(int).tolist(), 1],
        }
        for ids, free in zip(_ids(data), maskable, strict=True)
    ]
    return rows, DataCollatorForLanguageModeling(data.tokenizer, mlm_probability=BERT.rate)


def _ids(data: Prepared) -> list[list[int]]:
    return [ids.tolist() for ids in np.split(data.corpus.tokens_N, data.corpus.starts_P1[1:-1])]


def _peer_finetuning(data: Prepared, seed: int) -> tuple[Rows, Collator]:
    objective = objective_of(data)
    singles = [objective.batch([row]) for row in range(len(objective.lengths()))]
    rows = [{"input_ids": one.input_ids_BT[0].tolist(), "labels": one.labels_BU[0].tolist()} for one in singles]
    return rows, DataCollatorForSeq2Seq(data.tokenizer)


CASES = {
    "spans": Case(told="T5 spans", family="t5", stage=_spans, peer=_peer_spans),
    "tokens": Case(told="RoBERTa tokens", family="roberta", stage=_tokens, peer=_peer_tokens, loss=masked_loss),
    "finetuning": Case(told="T5 finetuning", family="t5", stage=_finetune, peer=_peer_finetuning),
}
