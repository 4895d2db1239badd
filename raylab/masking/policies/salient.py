"""Salient spans: names and dates, the facts of a passage (Guu et al. 2020, REALM, arXiv 2002.08909; Roberts et al. 2020)."""

from dataclasses import dataclass

import numpy as np

from raylab.data.annotation import Annotation
from raylab.data.annotations.salient import Salient as NamesAndDates
from raylab.masking.policy import Mask, Passages, Policy
from raylab.masking.sampling import mask_of, picked
from raylab.masking.schedule import require
from raylab.recipe import knob


@dataclass(frozen=True, kw_only=True, slots=True)
class Salient(Policy):
    """One span of a passage, or a few: uniformly at random among its names, dates and quantities.

    It defines no rate. Nothing is hidden in a passage that has no such span. tagger: "rules", which needs nothing, or
    the name of an installed spaCy pipeline.
    """

    spans: int = knob(1, choices=(1, 2, 4))
    tagger: str = "rules"

    def __post_init__(self) -> None:
        require(self.spans >= 1, "spans", self.spans, "at least 1")

    def needs(self) -> tuple[Annotation, ...]:
        return (NamesAndDates(tagger=self.tagger),)

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        found = passages.spans[self.needs()[0]]
        found_R = np.diff(np.searchsorted(found.starts_S, passages.starts_R1))
        hidden_S = picked(found_R, np.minimum(found_R, self.spans), rng)
        return mask_of(passages, found.starts_S[hidden_S], found.ends_S[hidden_S])
