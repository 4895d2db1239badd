"""Scores of a finetuned model on questions: bits per answer, exact match and F1, one number a question."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from raylab.data.prepared import Prepared
from raylab.data.scoring import HIGHER_IS_BETTER, exact_match, f1
from raylab.data.task import Example
from raylab.data.tokenizer import ids_of
from raylab.errors import Diverged
from raylab.training.batching import pairs, to_device
from raylab.training.loop import decode
from raylab.training.memory import Fit, Memory
from raylab.training.parallel import Parallel

ANSWER_TOKENS = 16  # longest generated answer
BATCH = 64


def score(
    model: PreTrainedModel, examples: Sequence[Example], data: Prepared, parallel: Parallel, memory: Memory,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:  # fmt: skip
    """One number a question for every measure, in the order of `examples`, on every worker. `alive` is called between
    batches.

    bits_per_answer: minus log2 of the probability of the canonical answer and its end, given the question, in
    float32: it does not depend on the tokenizer. exact_match, f1: of the greedy answer, the best over all aliases.
    Raises Diverged where the model's answers have no probability: its last update can have spoilt the weights.
    Raises OutOfMemory where not even one question fits.
    """
    model.eval()
    mine = examples[parallel.shard(len(examples))]
    with parallel.together():
        rows = _score_all(model, mine, data, memory.of(model, "answering", parallel.device), alive)
    gathered = parallel.gather(rows, len(examples))
    if not np.isfinite(gathered).all():
        raise Diverged("the scores of the finetuned model are no numbers: its weights are not finite")
    return {measure: [row[k] for row in gathered] for k, measure in enumerate(HIGHER_IS_BETTER)}


def means(scores: dict[str, list[float]], split: str) -> dict[str, float]:
    """The mean of every measure, named by split."""
    return {f"{split}_{measure}": float(np.mean(values)) for measure, values in scores.items()}


def _score_all(
    model: PreTrainedModel, examples: Sequence[Example], data: Prepared, fit: Fit, alive: Callable[[], None]
) -> list[tuple[float, ...]]:
    """A row of numbers for each example, computed on as many of about one length as fit, and BATCH at most."""
    by_length = sorted(range(len(examples)), key=lambda i: len(examples[i].question))
    rows: dict[int, tuple[float, ...]] = {}

    def next_rows(size: int) -> dict[int, tuple[float, ...]]:
        chosen = by_length[len(rows) :][:size]
        return dict(zip(chosen, _score_batch(model, [examples[i] for i in chosen], data, fit.device), strict=True))

    while len(rows) < len(examples):
        rows |= fit.attempt(next_rows, wanted=BATCH, width=1)
        alive()
    return [rows[i] for i in range(len(examples))]


@torch.inference_mode()
def _score_batch(
    model: PreTrainedModel, examples: Sequence[Example], data: Prepared, device: torch.device
) -> list[tuple[float, ...]]:
    questions, answers = (
        ids_of(data.tokenizer, texts) for texts in ([e.question for e in examples], [e.answer for e in examples])
    )
    batch = to_device(pairs(questions, answers, data.symbols.eos, data.symbols.pad, data.max_tokens + 1), slice(None), device)
    nats_BU = cross_entropy(decode(model, batch).float().transpose(1, 2), batch.labels_BU, ignore_index=-100, reduction="none")
    bits_B = (nats_BU.sum(1) / math.log(2)).tolist()
    generated = model.generate(
        input_ids=batch.input_ids_BT,
        attention_mask=batch.attention_BT,
        max_new_tokens=ANSWER_TOKENS,
        do_sample=False,
        num_beams=1,
    )
    texts = data.tokenizer.batch_decode(generated, skip_special_tokens=True)
    return [
        (bits, exact_match(text, e.answers), f1(text, e.answers)) for bits, text, e in zip(bits_B, texts, examples, strict=True)
    ]
