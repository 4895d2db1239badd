"""Generation: a text for a text, such as its summary, by an encoder-decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from rouge_score.rouge_scorer import RougeScorer
from torch import nn

from raylab.data.scoring import exact_match
from raylab.data.task import Rewrite
from raylab.data.tokenizer import ids_of
from raylab.families._seq2seq import check_writes
from raylab.masking.corrupt import Batch
from raylab.models.headed import body_of
from raylab.training.batching import MicroBatch, pairs, to_device
from raylab.training.loop import sequence_loss
from raylab.training.objective import Columns, Mode, Objective

ROUGES = {"rougeL": "rouge_l", "rouge1": "rouge_1", "rouge2": "rouge_2"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Generation(Objective):
    """rouge_1, rouge_2, rouge_l: F-measures with stemming (Lin 2004), the best over all references. exact_match: after TriviaQA's
    normalisation. Of the greedy output, cut where inputs are."""

    writes: ClassVar[bool] = True

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> nn.Module:
        check_writes(model, mode, self.data.task)
        return model

    @cached_property
    def _train(self) -> tuple[list[list[int]], list[list[int]]]:
        return self._ids(self.data.splits["train"])

    def _ids(self, examples: Sequence[Rewrite]) -> tuple[list[list[int]], list[list[int]]]:
        tokenizer = self.data.tokenizer
        return ids_of(tokenizer, [e.source for e in examples]), ids_of(tokenizer, [e.target for e in examples])

    def lengths(self) -> Sequence[int]:
        return [len(source) for source in self._train[0]]

    def batch(self, rows: Sequence[int]) -> Batch:
        sources, targets = self._train
        return self._pairs([sources[row] for row in rows], [targets[row] for row in rows])

    def _pairs(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> Batch:
        return pairs(sources, targets, self.data.symbols.eos, self.data.symbols.pad, self.data.max_tokens + 1)

    def loss(self, model: nn.Module, batch: MicroBatch) -> torch.Tensor:
        return sequence_loss(body_of(model), batch)

    def size(self, example: Rewrite) -> int:
        return len(example.source)

    @cached_property
    def _rouge(self) -> RougeScorer:
        return RougeScorer(list(ROUGES), use_stemmer=True)

    def answers(self, model: nn.Module, examples: Sequence[Rewrite], device: torch.device) -> Columns:
        batch = to_device(self._pairs(*self._ids(examples)), slice(None), device)
        written = body_of(model).generate(
            input_ids=batch.input_ids_BT, attention_mask=batch.attention_BT, max_new_tokens=self.data.max_tokens,
            do_sample=False, num_beams=1,
        )  # fmt: skip
        texts = self.data.tokenizer.batch_decode(written, skip_special_tokens=True)
        best = [self._rouge.score_multi(list(e.references), text) for e, text in zip(examples, texts, strict=True)]
        return {
            **{name: [scores[rouge].fmeasure for scores in best] for rouge, name in ROUGES.items()},
            "exact_match": [exact_match(text, e.references) for text, e in zip(texts, examples, strict=True)],
        }
