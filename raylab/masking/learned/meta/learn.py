"""Meta-learning of a masking policy: episodes, the policy's optimizer, and what it all cost.

Letters: B passages, T positions, L longest span.
"""

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from raylab.data.annotation import TokenisedText
from raylab.data.prepared import Prepared
from raylab.errors import Diverged, UserError
from raylab.masking.learned.card import Card, tokenizer_contract
from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.judged import judged
from raylab.masking.learned.meta.base import Base, generator_of
from raylab.masking.learned.meta.config import Meta
from raylab.masking.learned.meta.episode import Episode, Material
from raylab.masking.learned.meta.estimators import Estimate, estimate
from raylab.masking.learned.meta.unrolled import Inner
from raylab.masking.learned.pairs import Asked, Pairs, pairs
from raylab.masking.learned.scoring import Reading
from raylab.models.build import build
from raylab.recipe import encode
from raylab.seeds import derive
from raylab.training.checkpoint import Checkpoints
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress

STAGE = "policy"
ABOUT = 4.0  # the factor within which `about` is right
THROUGH = 3.0  # operations of an inner step and of the way back through it, in those of the step alone: a way back costs two


def learn(
    config: Meta, data: Prepared, seed: int, parallel: Parallel, checkpoints: Checkpoints, start: Extractor | None
) -> Generator[Progress, None, tuple[Extractor, Card]]:
    """As `Meta.learn`."""
    begun, text = time.perf_counter(), data.corpus.tokenised()
    found = pairs_of(config, data, text, "train")
    folds = folds_of(found, config, data.task, seed)
    extractor = (start or uniform_start(config, len(data.tokenizer), seed)).to(parallel.device)
    progress = _episodes(extractor, folds, config, data, seed, parallel, checkpoints)
    cost, skipped = {"tokens": 0.0, "flops": 0.0}, 0
    try:
        while True:
            step = next(progress)
            cost = {"tokens": cost["tokens"] + step.corpus_tokens, "flops": cost["flops"] + step.flops}
            yield step
    except StopIteration as end:
        skipped = end.value
    taught = set(found.rows.tolist())
    unseen = [pair for pair in pairs_of(config, data, text, "dev").asked if pair.row not in taught]
    card = Card(
        name="meta", how="meta", extractor=extractor.config, tokenizer=tokenizer_contract(data.tokenizer),
        learned_on=_told(data, found), recipe=encode(config), seed=seed, cost={**cost, "seconds": time.perf_counter() - begun},
        evidence=judged(extractor, Reading.of(text), unseen).evidence(),
        notes=(f"{skipped} of {config.steps} steps had no finite gradient and were left out",) if skipped else (),
    )  # fmt: skip
    return extractor.eval().requires_grad_(False), card


def about(config: Meta, data: Prepared, seed: int) -> dict[str, float]:
    """Corpus tokens and operations of `learn`, about: passages of the mean length, all of them asked for alike. An inner model
    of W weights takes 6 W operations a token and step (Kaplan et al. 2020), and the way through it THROUGH times that."""
    found = pairs_of(config, data, data.corpus.tokenised(), "train")
    folds_of(found, config, data.task, seed)  # too few are told
    passes = 1 if config.estimator == "gumbel" else config.draws
    asked = config.steps * config.episodes * config.questions * float(data.corpus.lengths_P[found.rows].mean()) * passes
    plain = config.folds * config.base_pretraining * config.base_batch * float(data.corpus.lengths_P.mean())
    weights = sum(p.numel() for p in build(config.base, data.tokenizer, 0).parameters())
    return {"tokens": asked + plain, "flops": 6.0 * weights * (THROUGH * asked + plain), "within": ABOUT}


def uniform_start(config: Meta, vocab_size: int, seed: int) -> Extractor:
    """The policy before meta-learning: every span of a passage is as likely as any other."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "policy", "init"))
        extractor = Extractor(config.extractor(vocab_size))
    torch.nn.init.zeros_(extractor.pointers.weight)
    torch.nn.init.zeros_(extractor.pointers.bias)
    return extractor


def pairs_of(config: Meta, data: Prepared, text: TokenisedText, split: str) -> Pairs:
    """The questions of a split in the passages that answer them, without answers too long for the policy."""
    found = pairs(data.splits[split], text, config.min_overlap)
    short = (replace(pair, spans=tuple(s for s in pair.spans if s[1] - s[0] <= config.longest)) for pair in found.asked)
    return replace(found, asked=tuple(pair for pair in short if pair.spans))


def folds_of(found: Pairs, config: Meta, task: str, seed: int) -> list[list[Asked]]:
    """The pairs, cut so that a question is in one fold alone."""
    questions = np.random.default_rng(derive(seed, "policy", "folds")).permutation(
        np.unique(np.array([pair.question for pair in found.asked], dtype=np.int64))
    )
    needed = config.folds * config.questions
    if len(questions) < needed:
        raise UserError(
            f"too few passages hold answers to meta-learn a masking policy from: of {found.questions:,} train questions of "
            f"{task!r}, {found.found:,} have an answer in the corpus, and {len(questions):,} a passage that goes with them; "
            f"expected at least {needed:,} ({config.folds} folds of {config.questions}). Give a --corpus whose passages hold the "
            "answers."
        )
    fold_of = {int(question): index % config.folds for index, question in enumerate(questions)}
    return [[pair for pair in found.asked if fold_of[pair.question] == fold] for fold in range(config.folds)]


def _told(data: Prepared, found: Pairs) -> dict[str, object]:
    """The data, as a card names them."""
    return {
        "task": data.task, "data": data.fingerprint, "questions": found.questions, "questions_with_a_passage": len(found.asked),
        "passages": len(found.rows), "corpus_passages": len(data.corpus), "corpus_tokens": len(data.corpus.tokens_N),
    }  # fmt: skip


def _episodes(
    extractor: Extractor, folds: Sequence[Sequence[Asked]], config: Meta, data: Prepared, seed: int, parallel: Parallel,
    checkpoints: Checkpoints,
) -> Generator[Progress, None, int]:  # fmt: skip
    """Train the inner models plainly, then the policy, in place. Returns how many of its steps were skipped."""
    material = Material(data, parallel.device)
    sources = []
    # Each worker trains its own: they are the same to the last bit, which credits, differences of small numbers, need
    alone = Parallel(device=parallel.device)
    for index, held_out in enumerate(folds if config.steps else ()):
        supporting = np.unique([pair.question for fold in folds if fold is not held_out for pair in fold])
        base = Base(material, config, supporting, derive(seed, "policy", "base", index), alone)
        yield from base.train(f"inner model {index + 1} of {len(folds)}")
        sources.append(Source(base, held_out))
    return (yield from _Learning(extractor, sources, config, seed, parallel, checkpoints).run())


class Source:
    """Episodes of one fold."""

    def __init__(self, base: Base, held_out: Sequence[Asked]) -> None:
        self.base, self.held_out = base, held_out
        self._params = base.proxy.parameters()
        config = base.config
        self.inner = Inner(
            pretraining_rate=config.pretraining_rate, finetuning_rate=config.finetuning_rate, scale=base.scale(),
            second_order=config.second_order,
        )  # fmt: skip

    def episode(self, rng: np.random.Generator) -> Episode:
        """Questions drawn from those held out, the passages that answer them, and supporting questions."""
        config, supporting = self.base.config, self.base.supporting
        chosen = [self.held_out[i] for i in rng.choice(len(self.held_out), config.questions, replace=False)]
        passages = np.array([pair.row for pair in chosen])
        return Episode(
            self.base.proxy, self._params, self.base.material,
            passages=np.array_split(passages, config.inner_pretraining),
            supporting=[rng.choice(supporting, config.questions).tolist() for _ in range(config.inner_finetuning)],
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


def episode_of(source: Source, extractor: Extractor, seed: int, number: int) -> tuple[Episode, Estimate]:
    """An episode and what it says about the policy: they depend on its number and the policy alone."""
    config, material = source.base.config, source.base.material
    episode = source.episode(np.random.default_rng(derive(seed, "policy", "episode", number)))
    torch.manual_seed(derive(seed, "policy", "dropout", number))
    log_p = [extractor.log_probs(*material.read(rows_B)) for rows_B in episode.passages]
    generator = generator_of(derive(seed, "policy", "draws", number), material.device)
    return episode, estimate(config.estimator, episode, log_p, source.inner, config.draws, config.temperature, generator)


class _Learning:
    """The policy's optimizer and where it stands."""

    def __init__(
        self, extractor: Extractor, sources: Sequence[Source], config: Meta, seed: int, parallel: Parallel,
        checkpoints: Checkpoints,
    ) -> None:  # fmt: skip
        self.extractor, self.sources, self.config, self.seed = extractor, sources, config, seed
        self.parallel, self.checkpoints = parallel, checkpoints
        self.optimizer = config.optimization.optimizer(extractor)
        self.skipped = 0

    def run(self) -> Generator[Progress, None, int]:
        """Yields a Progress a step; returns how many were skipped."""
        first = self.checkpoints.restore(STAGE, self.extractor, self.optimizer)
        self.extractor.requires_grad_(True).train()
        for step in range(first, self.config.steps):
            begun = time.perf_counter()
            with self.parallel.adding_gradients(self.extractor):
                mine = self._accumulate(step)
            outer, corpus, inputs, targets, flops = self.parallel.sum(mine).tolist()
            rate = self._update(step)
            yield Progress(
                stage=STAGE, step=step + 1, steps=self.config.steps, learning_rate=rate,
                loss=outer / self.config.episodes, corpus_tokens=int(corpus), input_tokens=int(inputs),
                target_tokens=int(targets), flops=flops, seconds={"policy": time.perf_counter() - begun},
            )  # fmt: skip
            if self.parallel.rank == 0 and self.checkpoints.due():
                self.checkpoints.save(STAGE, step + 1, self.extractor, self.optimizer)
        return self.skipped

    def _accumulate(self, step: int) -> torch.Tensor:
        """Leave this worker's part of the estimate's gradient in the policy. Returns its sums, in float64: held-out loss,
        corpus tokens, input tokens, target tokens, operations."""
        self.extractor.zero_grad(set_to_none=True)
        parameters = list(self.extractor.parameters())
        sums = torch.zeros(5, dtype=torch.float64, device=self.parallel.device)
        for index in range(*self.parallel.shard(self.config.episodes).indices(self.config.episodes)):
            surrogate, counted = self._episode(step * self.config.episodes + index)
            sums += counted
            for parameter, gradient in zip(parameters, torch.autograd.grad(surrogate, parameters), strict=True):
                share = gradient / self.config.episodes
                parameter.grad = share if parameter.grad is None else parameter.grad + share
        return sums

    def _episode(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the policy's gradient is that of in an episode, and its counts."""
        source = self.sources[number % len(self.sources)]
        episode, found = episode_of(source, self.extractor, self.seed, number)
        passes = 1 if self.config.estimator == "gumbel" else self.config.draws
        lengths_P = source.base.material.data.corpus.lengths_P
        policy_tokens = sum(int(lengths_P[rows_B].sum()) for rows_B in episode.passages)
        counts = (
            found.outer.item(), policy_tokens * passes, sum(int(batch.attention_BT.sum()) for batch, _ in episode.read),
            sum(int((batch.labels_BU != -100).sum()) for batch, _ in episode.read),
            source.flops(episode) + 3 * self.extractor.flops_a_token() * policy_tokens,
        )  # fmt: skip
        return found.surrogate, torch.tensor(counts, dtype=torch.float64, device=self.parallel.device)

    def _update(self, step: int) -> float:
        """An optimizer step, unless the gradient is not finite; its rate. Raises Diverged past the limit of steps left out."""
        optimization = self.config.optimization
        rate = optimization.set_rate(self.optimizer, step, self.config.steps)
        gradients = [parameter.grad for parameter in self.extractor.parameters() if parameter.grad is not None]
        norm = get_total_norm(gradients)
        if math.isfinite(norm.item()):
            clip_grads_with_norm_(self.extractor.parameters(), optimization.clip, norm)
            self.optimizer.step()
            return rate
        self.skipped += 1
        limit = round(self.config.skipped * self.config.steps)
        if self.skipped > limit:
            raise Diverged(
                f"meta-learning a masking policy: the gradient was not finite in {self.skipped} of {step + 1} steps, more than "
                f"the {limit} that are left out; lower its inner rates"
            )
        return rate
