"""Masking policies that a study's arms learn, with each seed anew, kept as products: found again when the study goes on."""

import time
from collections.abc import Generator
from pathlib import Path

from raylab.data.prepared import Prepared
from raylab.masking.learned import product
from raylab.masking.learned.product import Learner
from raylab.masking.policies.learned import Learned
from raylab.search.comparison.declared import At
from raylab.training.progress import Progress
from raylab.training.threads import one_thread

TOLD_EVERY_S = 10.0


def learned(at: At, how: Learner, data: Prepared | None = None) -> Learned:
    """The policy that is learned so on these data (None: the case's), with the seed of the arms."""
    data, name, begun = data or at.data, type(how).__name__.lower(), time.monotonic()
    what = f"{at.case.name}, seed {at.replicate}: {name} masking of {data.task}"
    _told(at, product.learned(how, data, at.seeds.init, at.storage), what, begun)
    return Learned(product=product.key_of(how, data, at.seeds.init), learner=name)


def _told(at: At, steps: Generator[Progress, None, Path], what: str, begun: float) -> None:
    """Learn, and say how far it is, now and then."""
    told, step = begun, None
    with one_thread():
        for step in steps:
            now = time.monotonic()
            if now - told >= TOLD_EVERY_S:
                told, left_s = now, (now - begun) / step.step * (step.steps - step.step)
                at.tell(f"{what}: step {step.step} of {step.steps}, about {left_s:.0f} s left")
    if step is not None:
        at.tell(f"{what} learned in {time.monotonic() - begun:.0f} s")
