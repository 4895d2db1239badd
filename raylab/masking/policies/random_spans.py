"""Spans as many and as long as another policy's, anywhere: the control that tells where from how much."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from raylab.data.annotation import Annotation
from raylab.masking.placement import first_units, random_gaps
from raylab.masking.policies.salient import Salient
from raylab.masking.policy import Mask, Passages, Policy
from raylab.masking.sampling import bounds, mask_of, tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomSpans(Policy):
    """What the policy `of` draws, each span moved to a place of its passage that is uniformly random.

    Every passage keeps the number of its spans and their lengths in tokens; two may stand side by side.
    """

    of: Policy = field(default_factory=Salient)
    searched: ClassVar[Literal["always", "named", "never"]] = "named"

    def needs(self) -> tuple[Annotation, ...]:
        return self.of.needs()

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        mask, units = self.of.draw(passages, rng, progress), tokens(passages)
        begins_S = np.flatnonzero(mask.begins_N)
        hidden_R = np.diff(bounds(mask.hidden_N)[passages.starts_R1])
        lengths_S = np.diff(bounds(mask.hidden_N)[np.append(begins_S, len(mask.hidden_N))])
        spans_R = np.diff(np.searchsorted(begins_S, passages.starts_R1))
        gaps_S = random_gaps(np.diff(units.bounds_R1) - hidden_R, spans_R, rng)
        first_S = first_units(units, lengths_S, spans_R, gaps_S)
        return mask_of(passages, units.starts_U[first_S], units.ends_U[first_S + lengths_S - 1])
