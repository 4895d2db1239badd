"""Whole words: all tokens of a word are hidden or none (BERT's whole-word release of 2019; Cui et al. 2019, arXiv 1906.08101)."""

from dataclasses import dataclass

import numpy as np

from raylab.masking.policy import Mask, Passages
from raylab.masking.sampling import chosen, mask_of, words
from raylab.masking.schedule import RatedPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeWord(RatedPolicy):
    """Random words, each a span of its own. `rate` counts tokens, not words."""

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        units = words(passages)
        hidden = chosen(units.sizes, self.rate_at(progress), rng)
        return mask_of(passages, units.starts_U[hidden], units.ends_U[hidden])
