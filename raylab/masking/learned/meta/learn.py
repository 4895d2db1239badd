"""Meta-learning of a masking policy: from data to a card, and what it all cost.

Letters: B passages, T positions, L longest span.
"""

import time
from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np
import torch

from raylab.data.annotation import TokenisedText
from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.learned.card import Card, tokenizer_contract
from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.judged import judged
from raylab.masking.learned.meta.base import Base
from raylab.masking.learned.meta.config import Meta
from raylab.masking.learned.meta.episode import Material
from raylab.masking.learned.meta.source import THROUGH, Source
from raylab.masking.learned.meta.updates import Learning
from raylab.masking.learned.pairs import Asked, Pairs, pairs
from raylab.masking.learned.scoring import Reading
from raylab.models.build import build
from raylab.recipe import encode
from raylab.seeds import derive
from raylab.training.checkpoint import Checkpoints
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress

ABOUT = 4.0  # the factor within which `about` is right


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
        notes=_left_out(skipped, config.steps * config.episodes),
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
    each = max(config.questions, config.supporting)
    needed = config.folds * each
    if len(questions) < needed:
        raise UserError(
            f"too few passages hold answers to meta-learn a masking policy from: of {found.questions:,} train questions of "
            f"{task!r}, {found.found:,} have an answer in the corpus, and {len(questions):,} a passage that goes with them; "
            f"expected at least {needed:,} ({config.folds} folds of {each}). Give a --corpus whose passages hold the "
            "answers."
        )
    fold_of = {int(question): index % config.folds for index, question in enumerate(questions)}
    return [[pair for pair in found.asked if fold_of[pair.question] == fold] for fold in range(config.folds)]


def _left_out(skipped: int, episodes: int) -> tuple[str, ...]:
    return (f"{skipped} of {episodes} episodes had no finite gradient and were left out",) if skipped else ()


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
    """Train the inner models plainly, then the policy, in place. Returns how many episodes were left out."""
    material = Material(data, parallel.device)
    sources = []
    # Each worker trains its own: they are the same to the last bit, which credits, differences of small numbers, need
    alone = Parallel(device=parallel.device)
    for index, held_out in enumerate(folds if config.steps else ()):
        supporting = np.unique([pair.question for fold in folds if fold is not held_out for pair in fold])
        base = Base(material, config, supporting, derive(seed, "policy", "base", index), alone)
        yield from base.train(f"inner model {index + 1} of {len(folds)}")
        sources.append(Source(base, held_out))
    return (yield from Learning(extractor, sources, config, seed, parallel, checkpoints).run())
