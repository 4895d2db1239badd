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
from raylab.data.tokenizer import ids_of
from raylab.families._seq2seq import check_writes
from raylab.masking.corrupt import Batch
from raylab.models.headed import body_of
from raylab.training.batching import MicroBatch, pairs, to_device
from raylab.training.loop import decode, sequence_loss
from raylab.training.objective import Columns, Mode, Objective

ANSWER_TOKENS = 16  # longest generated answer


@dataclass(frozen=True, kw_only=True, eq=False)
class QuestionAnswering(Objective):
    """bits_per_answer: minus log2 of the probability of the canonical answer and its end, given the question, in float32: it does
    not depend on the tokenizer. exact_match, f1: of the greedy answer, the best over all aliases."""

    writes: ClassVar[bool] = True

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> nn.Module:
        check_writes(model, mode, self.data.task)
        return model

    def lengths(self) -> Sequence[int]:
        return [len(question) for question in self.data.train_ids[0]]

    def batch(self, rows: Sequence[int]) -> Batch:
        questions, answers = self.data.train_ids
        return self._pairs([questions[i] for i in rows], [answers[i] for i in rows])

    def _pairs(self, questions: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> Batch:
        return pairs(questions, answers, self.data.symbols.eos, self.data.symbols.pad, self.data.max_tokens + 1)

    def loss(self, model: nn.Module, batch: MicroBatch) -> torch.Tensor:
        return sequence_loss(body_of(model), batch)

    def size(self, example: Question) -> int:
        return len(example.question)

    def answers(self, model: nn.Module, examples: Sequence[Question], device: torch.device) -> Columns:
        questions, answers = (
            ids_of(self.data.tokenizer, texts) for texts in ([e.question for e in examples], [e.answer for e in examples])
        )
        batch = to_device(self._pairs(questions, answers), slice(None), device)
        nats_BU = cross_entropy(
            decode(body_of(model), batch).float().transpose(1, 2), batch.labels_BU, ignore_index=-100, reduction="none"
        )
        generated = body_of(model).generate(
            input_ids=batch.input_ids_BT,
            attention_mask=batch.attention_BT,
            max_new_tokens=ANSWER_TOKENS,
            do_sample=False,
            num_beams=1,
        )
        texts = self.data.tokenizer.batch_decode(generated, skip_special_tokens=True)
        return {
            "bits_per_answer": (nats_BU.sum(1) / math.log(2)).tolist(),
            "exact_match": [exact_match(text, e.answers) for text, e in zip(texts, examples, strict=True)],
            "f1": [f1(text, e.answers) for text, e in zip(texts, examples, strict=True)],
        }
