"""Masking learned by direct supervision: an extractor of the spans that a task's questions ask for.

Ye et al. 2021 (arXiv 2104.08840) train an extractor on passages and the answers that stand in them, and let it choose the
masks; that it is a BiLSTM with two pointers, which never sees the question, is our reading. Here the loss is that of the
joint distribution over spans, and an answer that stands at several places may be found at any of them:

    - log sum over the answer's places of p(place)

Only questions of the train split are learned from. The epoch that is kept is the one that finds most answers of dev
questions, in passages that no train question is joined to; nothing reads the test split.

Letters: B passages, T positions, L longest span, Q questions, G places of an answer.
"""

import copy
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.errors import Diverged, UserError
from raylab.masking.learned.card import Card, tokenizer_contract
from raylab.masking.learned.extractor import NEVER, Extractor, ExtractorConfig
from raylab.masking.learned.judged import Found, judged
from raylab.masking.learned.pairs import MIN_OVERLAP, Asked, Pairs, pairs
from raylab.masking.learned.scoring import Reading
from raylab.recipe import encode
from raylab.seeds import derive
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress

FEWEST = 16  # passages that answer a train question: with fewer there is nothing to learn from
BACKWARD = 3.0  # a training step's operations, in forward passes


@dataclass(frozen=True, kw_only=True, slots=True)
class Supervised:
    """How it is learned. kind, width, layers, longest, dropout: of the extractor (raylab.masking.learned.extractor).

    epochs: over the passages that answer a train question. min_overlap: raylab.masking.learned.pairs.
    """

    kind: Literal["bilstm", "transformer"] = "bilstm"
    width: int = 64
    layers: int = 2
    longest: int = 12
    dropout: float = 0.3
    epochs: int = 15
    batch_size: int = 32
    min_overlap: float = MIN_OVERLAP
    optimization: Optimization = field(default_factory=lambda: Optimization(learning_rate=5e-3))

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} of supervised masking is {getattr(self, name)}; expected at least 1.")
        if not 0 <= self.min_overlap <= 1:
            raise UserError(f"min_overlap of supervised masking is {self.min_overlap}; expected a share between 0 and 1.")

    def extractor(self, vocab_size: int) -> ExtractorConfig:
        """The scorer for a vocabulary."""
        return ExtractorConfig(
            vocab_size=vocab_size,
            kind=self.kind,
            width=self.width,
            layers=self.layers,
            longest=self.longest,
            dropout=self.dropout,
        )

    def cost(self, data: Prepared, seed: int) -> dict[str, float]:
        """Corpus tokens and operations that `learn` takes, known before it. Raises UserError as `learn` for data that hold too
        little."""
        lesson = Lesson(self, data, seed)
        lesson.check()
        return lesson.cost()

    def learn(
        self, data: Prepared, seed: int, parallel: Parallel | None = None
    ) -> Generator[Progress, None, tuple[Extractor, Card]]:
        """Learn from the train split of prepared data. Yields a Progress a step; returns the extractor and its card.

        Raises UserError for data that hold too few answers, Diverged. `parallel` names the device; it takes one worker.
        """
        lesson = Lesson(self, data, seed)
        lesson.check()
        begun = time.perf_counter()
        torch.manual_seed(derive(seed, "policy", "init"))
        extractor = Extractor(self.extractor(len(data.tokenizer))).to((parallel or Parallel()).device)
        found = yield from _trained(self, extractor, lesson)
        cost = {**lesson.cost(), "seconds": time.perf_counter() - begun}
        card = Card(
            name="supervised", how="supervised", extractor=extractor.config, tokenizer=tokenizer_contract(data.tokenizer),
            learned_on=lesson.told(), recipe=encode(self), seed=seed, cost=cost, evidence=found.evidence(),
        )  # fmt: skip
        return extractor.eval(), card


class Lesson:
    """What there is to learn from in prepared data: the questions of train and dev joined to passages, and the passages."""

    def __init__(self, config: Supervised, data: Prepared, seed: int) -> None:
        self.config, self.data, self.seed = config, data, seed
        self._text = data.corpus.tokenised()
        self.reading = Reading.of(self._text)
        self.train = self._pairs("train")
        taught = set(self.train.rows.tolist())
        self.dev = tuple(pair for pair in self._pairs("dev").asked if pair.row not in taught)

    def _pairs(self, split: str) -> Pairs:
        found = pairs(self.data.splits[split], self._text, self.config.min_overlap)
        short = (_shorter(pair, self.config.longest) for pair in found.asked)
        return Pairs(asked=tuple(pair for pair in short if pair.spans), questions=found.questions, found=found.found)

    def check(self) -> None:
        """Raise UserError where there is too little to learn from: how much was found, and what to give."""
        if not self.train.questions:
            raise UserError(
                f"the train split of {self.data.task!r} is empty, so that there are no answers to learn a masking policy from. "
                "Give train questions, or leave learned policies out."
            )
        if len(self.train.rows) < FEWEST:
            raise UserError(
                f"too few passages hold answers to learn a masking policy from: of {self.train.questions:,} train questions of "
                f"{self.data.task!r}, {self.train.found:,} have an answer in the corpus, and {len(self.train.rows):,} passages "
                f"go with one; expected at least {FEWEST}. Give a --corpus whose passages hold the answers."
            )

    def batches(self) -> Iterator[tuple[np.ndarray, list[Asked]]]:
        """The passages of each step, and the questions they answer, each with its passage's place in the batch."""
        asked_of: dict[int, list[Asked]] = {}
        for pair in self.train.asked:
            asked_of.setdefault(pair.row, []).append(pair)
        order = Order(self.reading.lengths_P[self.train.rows], self.config.batch_size, derive(self.seed, "policy", "data"))
        for step in range(self.config.epochs * order.batches_per_epoch):
            rows_B = self.train.rows[order.rows(step)]
            yield rows_B, [Asked(row=place, spans=pair.spans) for place, row in enumerate(rows_B) for pair in asked_of[int(row)]]

    def cost(self) -> dict[str, float]:
        """Corpus tokens that learning reads, in training, on dev and to score the corpus once; and the operations of it."""
        lengths_P = self.reading.lengths_P
        trained = sum(int(lengths_P[rows_B].sum()) for rows_B, _ in self.batches())
        seen = self.config.epochs * int(lengths_P[sorted({pair.row for pair in self.dev})].sum()) + int(lengths_P.sum())
        forward = Extractor(self.config.extractor(len(self.data.tokenizer))).flops_a_token()
        return {"tokens": float(trained + seen), "flops": forward * (BACKWARD * trained + seen)}

    def told(self) -> dict[str, object]:
        """The data, as a card names them."""
        return {
            "task": self.data.task, "data": self.data.fingerprint, "questions": self.train.questions,
            "questions_with_a_passage": len(self.train.asked), "passages": len(self.train.rows),
            "corpus_passages": len(self.data.corpus), "corpus_tokens": len(self.data.corpus.tokens_N),
        }  # fmt: skip


def _shorter(pair: Asked, longest: int) -> Asked:
    return Asked(row=pair.row, spans=tuple((start, end) for start, end in pair.spans if end - start <= longest))


def _trained(config: Supervised, extractor: Extractor, lesson: Lesson) -> Generator[Progress, None, Found]:
    """Train the extractor in place; it ends as it was after its best epoch."""
    optimizer = config.optimization.optimizer(extractor)
    batches = list(lesson.batches())
    best: tuple[Found, dict[str, torch.Tensor]] | None = None
    for step, (rows_B, asked) in enumerate(batches):
        begun = time.perf_counter()
        rate = config.optimization.set_rate(optimizer, step, len(batches))
        loss = _step(extractor, optimizer, config.optimization.clip, lesson.reading, rows_B, asked)
        if (step + 1) % (len(batches) // config.epochs) == 0:
            found = judged(extractor, lesson.reading, lesson.dev)
            if best is None or found.score() >= best[0].score():
                best = found, copy.deepcopy(extractor.state_dict())
        tokens = int(lesson.reading.lengths_P[rows_B].sum())
        yield Progress(
            stage="policy", step=step + 1, steps=len(batches), learning_rate=rate, loss=loss, corpus_tokens=tokens,
            input_tokens=tokens, target_tokens=len(asked), flops=BACKWARD * extractor.flops_a_token() * tokens,
            seconds={"policy": time.perf_counter() - begun},
        )  # fmt: skip
    assert best is not None
    extractor.load_state_dict(best[1])
    return best[0]


def _step(
    extractor: Extractor, optimizer: torch.optim.Optimizer, clip: float, reading: Reading, rows_B: np.ndarray,
    asked: Sequence[Asked],
) -> float:  # fmt: skip
    extractor.train()
    device = extractor.pointers.weight.device
    log_p_BTL = extractor.log_probs(*(part.to(device) for part in reading.batch(rows_B)))
    loss = -log_p_of(log_p_BTL, asked).mean()
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(extractor.parameters(), clip)
    if not torch.isfinite(norm):
        raise Diverged("learning a masking policy by supervision: the gradient is no longer finite; lower its learning rate.")
    optimizer.step()
    return loss.item()


def log_p_of(log_p_BTL: torch.Tensor, asked: Sequence[Asked]) -> torch.Tensor:
    """The log-probability that a span drawn from a question's passage is one of its answer's places, (Q,)."""
    longest = log_p_BTL.shape[2]
    most = max(len(pair.spans) for pair in asked)
    index = np.zeros((len(asked), most), dtype=np.int64)
    there = np.zeros((len(asked), most), dtype=bool)
    for q, pair in enumerate(asked):
        for g, (start, end) in enumerate(pair.spans):
            index[q, g], there[q, g] = start * longest + end - start - 1, True
    rows_Q = torch.tensor([pair.row for pair in asked], device=log_p_BTL.device)
    log_p_QG = log_p_BTL.flatten(1)[rows_Q].gather(1, torch.from_numpy(index).to(log_p_BTL.device))
    return log_p_QG.masked_fill(~torch.from_numpy(there).to(log_p_BTL.device), NEVER).logsumexp(dim=1)
