"""The policy's optimizer: steps of new episodes, each followed by updates on what they drew."""

import math
import time
from collections.abc import Generator, Iterable, Mapping, Sequence

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from raylab.errors import Diverged
from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.meta.config import Meta
from raylab.masking.learned.meta.estimators import TINY
from raylab.masking.learned.meta.source import Drawn, Source, drawn_by, log_probs
from raylab.seeds import derive
from raylab.training.checkpoint import Checkpoints
from raylab.training.order import Order
from raylab.training.parallel import Parallel, forget_gradients
from raylab.training.progress import Progress

STAGE = "policy"
BACKWARD = 3.0  # operations of an update, in those of a forward pass


class Learning:
    """The policy's optimizer and where it stands.

    An episode costs a hundred times what an update costs the policy for it, so that each serves several, in batches that are
    drawn anew: as in proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), here without its clipping. Every
    episode counts alike, whatever the scale of its losses.
    """

    def __init__(
        self, extractor: Extractor, sources: Sequence[Source], config: Meta, seed: int, parallel: Parallel,
        checkpoints: Checkpoints,
    ) -> None:  # fmt: skip
        self.extractor, self.sources, self.config, self.seed = extractor, sources, config, seed
        self.parallel, self.checkpoints = parallel, checkpoints
        self.parameters = list(extractor.parameters())
        self.optimizer = config.optimization.optimizer(extractor)
        self.skipped = 0

    def run(self) -> Generator[Progress, None, int]:
        """Yields a Progress a step; returns how many episodes were left out."""
        first = self.checkpoints.restore(STAGE, self.extractor, self.optimizer)
        self.extractor.requires_grad_(True)
        for step in range(first, self.config.steps):
            begun = time.perf_counter()
            self.extractor.eval()
            with self.parallel.together():
                drawn = self._drawn(step)
            outer, corpus, inputs, targets, flops, skipped = self.parallel.sum(self._counts(drawn.values())).tolist()
            self._skip(step, int(skipped))
            rate = self._updates(step, {index: one for index, one in drawn.items() if one.finite})
            yield Progress(
                stage=STAGE, step=step + 1, steps=self.config.steps, learning_rate=rate,
                loss=outer / self.config.episodes, corpus_tokens=int(corpus), input_tokens=int(inputs),
                target_tokens=int(targets), flops=flops, seconds={"policy": time.perf_counter() - begun},
            )  # fmt: skip
            if self.parallel.rank == 0 and self.checkpoints.due():
                self.checkpoints.save(STAGE, step + 1, self.extractor, self.optimizer)
        return self.skipped

    def _drawn(self, step: int) -> dict[int, Drawn]:
        """This worker's episodes of a step, by their place in it."""
        episodes = self.config.episodes
        mine = range(*self.parallel.shard(episodes).indices(episodes))
        found = drawn_by(self.extractor, self.sources, self.seed, [step * episodes + index for index in mine])
        return dict(zip(mine, found, strict=True))

    def _counts(self, drawn: Iterable[Drawn]) -> torch.Tensor:
        """The sums of the episodes' counts, in float64, with the policy's operations, and how many have no finite estimate."""
        sums = torch.zeros(6, dtype=torch.float64, device=self.parallel.device)
        passes = 1 + BACKWARD * self.config.updates * self.config.batch / self.config.episodes
        for one in drawn:
            *counted, flops = one.counts()
            flops += passes * self.extractor.flops_a_token() * one.policy_tokens
            sums += torch.tensor([*counted, flops, not one.finite], dtype=torch.float64, device=self.parallel.device)
        return sums

    def _updates(self, step: int, drawn: Mapping[int, Drawn]) -> float:
        """The updates of a step; the last one's learning rate. Raises Diverged."""
        config, rate = self.config, 0.0
        self.extractor.train()
        torch.manual_seed(derive(self.seed, "policy", "dropout", step, self.parallel.rank))
        order = Order([1] * config.episodes, config.batch, derive(self.seed, "policy", "batches", step))
        for update in range(config.updates):
            batch = order.rows(update).tolist()
            rate = config.optimization.set_rate(self.optimizer, step * config.updates + update, config.steps * config.updates)
            with self.parallel.adding_gradients(self.parameters):
                self._accumulate([drawn[index] for index in batch if index in drawn], len(batch))
            self._move()
        return rate

    def _accumulate(self, drawn: Sequence[Drawn], batch: int) -> None:
        """Leave this worker's part of the gradient of a batch's mean in the policy."""
        forget_gradients(self.parameters)
        if drawn:
            scores = log_probs(self.extractor, [one.episode for one in drawn])
            charged = [
                one.estimate.charge(log_p) / one.estimate.scale.clamp_min(TINY) for one, log_p in zip(drawn, scores, strict=True)
            ]
            (torch.stack(charged).sum() / batch).backward()

    def _move(self) -> None:
        norm = get_total_norm([parameter.grad for parameter in self.parameters if parameter.grad is not None])
        if not math.isfinite(norm.item()):
            raise Diverged("meta-learning a masking policy: the policy's gradient is no longer finite; lower its learning rate.")
        clip_grads_with_norm_(self.parameters, self.config.optimization.clip, norm)
        self.optimizer.step()

    def _skip(self, step: int, episodes: int) -> None:
        """Count a step's episodes that are left out. Raises Diverged past the limit."""
        self.skipped += episodes
        limit = round(self.config.skipped * self.config.steps * self.config.episodes)
        if self.skipped > limit:
            raise Diverged(
                f"meta-learning a masking policy: the gradient was not finite in {self.skipped} of "
                f"{(step + 1) * self.config.episodes} episodes, more than the {limit} that are left out; lower its inner rates"
            )
