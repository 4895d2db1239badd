"""Where episodes come from, and what the policy draws in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.meta.base import Base, generator_of
from raylab.masking.learned.meta.episode import Episode
from raylab.masking.learned.meta.estimators import TINY, Estimate, estimate
from raylab.masking.learned.meta.unrolled import Inner
from raylab.masking.learned.pairs import Asked
from raylab.seeds import derive
from raylab.training.order import Order

THROUGH = 3.0  # operations of an inner step and of the way back through it, in those of the step alone: a way back costs two


class Source:
    """Episodes of one fold: all its questions are held out of its inner model, and come up one after the other."""

    def __init__(self, base: Base, held_out: Sequence[Asked]) -> None:
        self.base, self.held_out = base, held_out
        self._params = base.proxy.parameters()
        config = base.config
        self._order = Order([1] * len(held_out), config.questions, derive(base.seed, "held out"))
        self.inner = Inner(
            pretraining_rate=config.pretraining_rate, finetuning_rate=config.finetuning_rate, scale=base.scale(),
            second_order=config.second_order,
        )  # fmt: skip

    def episode(self, number: int, rng: np.random.Generator) -> Episode:
        """The questions whose turn it is, the passages that answer them, and supporting questions."""
        config, supporting = self.base.config, self.base.supporting
        chosen = [self.held_out[i] for i in self._order.rows(number // config.folds)]
        passages = np.array([pair.row for pair in chosen])
        return Episode(
            self.base.proxy, self._params, self.base.material,
            passages=np.array_split(passages, config.inner_pretraining),
            supporting=[rng.choice(supporting, config.supporting).tolist() for _ in range(config.inner_finetuning)],
            held_out=[pair.question for pair in chosen],
        )  # fmt: skip

    def flops(self, episode: Episode) -> float:
        """The operations of all that the inner model has read."""
        through = 1.0 if self.base.config.estimator == "reinforce" else THROUGH
        total = 0.0
        for batch, inner in episode.read:
            rows, inputs, targets = len(batch.labels_BU), int(batch.attention_BT.sum()), int((batch.labels_BU != -100).sum())
            operations = self.base.cost.training_flops(inputs, targets, inputs / rows, targets / rows)
            total += operations * (through if inner else 1.0)
        return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """An episode after its draws. finite: whether its estimate is a number. policy_tokens: of the passages in it."""

    source: Source
    episode: Episode
    estimate: Estimate
    finite: bool
    policy_tokens: int

    def counts(self) -> list[float]:
        """Held-out loss, corpus tokens, input tokens, target tokens, operations without the policy's."""
        config, read = self.source.base.config, self.episode.read
        return [
            self.estimate.outer.item(), self.policy_tokens * (1 if config.estimator == "gumbel" else config.draws),
            sum(int(batch.attention_BT.sum()) for batch, _ in read),
            sum(int((batch.labels_BU != -100).sum()) for batch, _ in read),
            self.source.flops(self.episode),
        ]  # fmt: skip


def drawn_by(extractor: Extractor, sources: Sequence[Source], seed: int, numbers: Sequence[int]) -> list[Drawn]:
    """The episodes of these numbers. Each depends on its number and the policy alone, not on which others there are."""
    of = [sources[number % len(sources)] for number in numbers]
    episodes = [
        source.episode(number, np.random.default_rng(derive(seed, "policy", "episode", number)))
        for source, number in zip(of, numbers, strict=True)
    ]
    found = []
    with torch.no_grad():
        scores = log_probs(extractor, episodes)
    for source, episode, log_p, number in zip(of, episodes, scores, numbers, strict=True):
        config, material = source.base.config, source.base.material
        generator = generator_of(derive(seed, "policy", "draws", number), material.device)
        told = estimate(config.estimator, episode, log_p, source.inner, config.draws, config.temperature, generator)
        tokens = sum(int(material.data.corpus.lengths_P[rows_B].sum()) for rows_B in episode.passages)
        finite = bool(torch.isfinite(told.charge(log_p) / told.scale.clamp_min(TINY)))
        found.append(Drawn(source=source, episode=episode, estimate=told, finite=finite, policy_tokens=tokens))
    return found


def log_probs(extractor: Extractor, episodes: Sequence[Episode]) -> list[list[torch.Tensor]]:
    """For each episode and inner pretraining step the policy's log-probabilities (B, T, L); the policy reads all in one go."""
    if not episodes:
        return []
    material, passages = episodes[0].material, [rows_B for episode in episodes for rows_B in episode.passages]
    log_p_BTL = extractor.log_probs(*material.read(np.concatenate(passages)))
    lengths = [int(material.data.corpus.lengths_P[rows_B].max()) for rows_B in passages]
    parts = log_p_BTL.split([len(rows_B) for rows_B in passages])
    own = iter([part[:, :length] for part, length in zip(parts, lengths, strict=True)])
    return [[next(own) for _ in episode.passages] for episode in episodes]
