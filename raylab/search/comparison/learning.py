"""Masking policies that a study's arms learn, with each seed anew, kept as products: found again when the study goes on."""

import time
from collections.abc import Generator
from typing import Any, Protocol

from raylab.data.files import written_once
from raylab.data.prepared import Prepared
from raylab.masking.learned.card import Card, read, save
from raylab.masking.learned.extractor import Extractor
from raylab.masking.policies.learned import Learned
from raylab.recipe import NUMERICS_VERSION, digest, encode
from raylab.search.comparison.declared import At
from raylab.training.progress import Progress

TOLD_EVERY_S = 10.0


class Learner(Protocol):
    """How a policy is learned: raylab.masking.learned.supervised.Supervised, raylab.masking.learned.meta."""

    def learn(self, data: Prepared, seed: int) -> Generator[Progress, None, tuple[Extractor, Card]]:
        """Yields a Progress a step; returns the extractor and its card."""


def learned(at: At, how: Learner, data: Prepared | None = None) -> Learned:
    """The policy that is learned so on these data (None: the case's), with the seed of the arms."""
    data, learner = data or at.data, type(how).__name__.lower()
    key = digest([learner, encode(how), at.seeds.init, data.fingerprint, NUMERICS_VERSION])
    folder, what = at.storage / "products" / key, f"{at.case.name}, seed {at.replicate}: {learner} masking of {data.task}"
    if not folder.exists():
        with written_once(folder) as unfinished:
            extractor, card = _told(at, how.learn(data, at.seeds.init), what)
            save(unfinished, extractor, card, data.tokenizer)
        at.tell(f"{what} learned in {read(folder).cost['seconds']:.0f} s")
    return Learned(product=key, learner=learner)


def _told(at: At, steps: Generator[Progress, None, tuple[Extractor, Card]], what: str) -> tuple[Extractor, Card]:
    """What learning returns; how far it is, now and then."""
    begun = told = time.monotonic()
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: Any = end.value
            return result[0], result[1]
        now = time.monotonic()
        if now - told >= TOLD_EVERY_S:
            told, left_s = now, (now - begun) / step.step * (step.steps - step.step)
            at.tell(f"{what}: step {step.step} of {step.steps}, about {left_s:.0f} s left")
