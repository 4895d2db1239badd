"""Closed-book question answering: the question in, the canonical answer out, by an encoder-decoder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.data.scoring import exact_match, f1
from raylab.data.task import Question
from raylab.families._seq2seq import Writes
from raylab.masking.corrupt import IGNORED
from raylab.models.headed import body_of
from raylab.training.loop import decode
from raylab.training.objective import Columns

ANSWER_TOKENS = 16  # longest generated answer


@dataclass(frozen=True, kw_only=True, eq=False)
class QuestionAnswering(Writes):
    """bits_per_answer: minus log2 of the probability of the canonical answer and its end, given the question, in float32: it does
    not depend on the tokenizer. exact_match, f1: of the greedy answer, the best over all aliases."""

    source: ClassVar[str] = "question"
    target: ClassVar[str] = "answer"

    def answers(self, model: nn.Module, examples: Sequence[Question], device: torch.device) -> Columns:
        batch = self.read(examples, device)
        logits_BVU = decode(body_of(model), batch).float().transpose(1, 2)
        nats_BU = cross_entropy(logits_BVU, batch.labels_BU, ignore_index=IGNORED, reduction="none")
        texts = self.written(model, batch, ANSWER_TOKENS)
        return {
            "bits_per_answer": (nats_BU.sum(1) / math.log(2)).tolist(),
            "exact_match": [exact_match(text, e.answers) for text, e in zip(texts, examples, strict=True)],
            "f1": [f1(text, e.answers) for text, e in zip(texts, examples, strict=True)],
        }
