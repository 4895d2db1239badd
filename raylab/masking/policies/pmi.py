"""Collocations as units: PMI masking (Levine et al. 2021, arXiv 2010.01825).

A model can guess one word of "carbon dioxide" from the other without understanding anything; hidden together, both
must come from the context.
"""

from dataclasses import dataclass

import numpy as np

from raylab.data.annotation import Annotation
from raylab.data.annotations.pmi import Pmi as Collocations
from raylab.masking.policy import Mask, Passages
from raylab.masking.sampling import chosen, covered, mask_of, words
from raylab.masking.schedule import RatedPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Pmi(RatedPolicy):
    """Random units: a collocation is one, and so is every word outside of them. `rate` counts tokens.

    longest, min_count, min_pmi: what counts as a collocation, see raylab.data.annotations.pmi.
    """

    longest: int = 5
    min_count: int = 5
    min_pmi: float = 3.0

    def needs(self) -> tuple[Annotation, ...]:
        return (Collocations(longest=self.longest, min_count=self.min_count, min_pmi=self.min_pmi),)

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        spans = passages.spans[self.needs()[0]]
        units = words(passages, joined_N=covered(len(passages.tokens_N), spans.starts_S + 1, spans.ends_S))
        hidden = chosen(units.sizes, self.rate_at(progress), rng)
        return mask_of(passages, units.starts_U[hidden], units.ends_U[hidden])
