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
from raylab.families._seq2seq import Writes
from raylab.training.objective import Columns

ROUGES = {"rougeL": "rouge_l", "rouge1": "rouge_1", "rouge2": "rouge_2"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Generation(Writes):
    """rouge_1, rouge_2, rouge_l: F-measures with stemming (Lin 2004), the best over all references. exact_match: after
    TriviaQA's normalisation. All of the greedy output."""

    source: ClassVar[str] = "source"
    target: ClassVar[str] = "target"

    @cached_property
    def _rouge(self) -> RougeScorer:
        return RougeScorer(list(ROUGES), use_stemmer=True)

    def answers(self, model: nn.Module, examples: Sequence[Rewrite], device: torch.device) -> Columns:
        texts = self.written(model, self.read(examples, device), self.data.max_tokens)
        best = [self._rouge.score_multi(list(e.references), text) for e, text in zip(examples, texts, strict=True)]
        return {
            **{name: [scores[rouge].fmeasure for scores in best] for rouge, name in ROUGES.items()},
            "exact_match": [exact_match(text, e.references) for text, e in zip(texts, examples, strict=True)],
        }
