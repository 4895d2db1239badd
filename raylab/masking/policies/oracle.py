"""The answers of the train questions: a reference, the most that a policy which guesses what is asked could know."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from raylab.data.annotation import Annotation
from raylab.data.annotations.answers import Answers
from raylab.masking.policy import Mask, Passages, Policy
from raylab.masking.sampling import mask_of, picked
from raylab.masking.schedule import require
from raylab.recipe import knob


@dataclass(frozen=True, kw_only=True, slots=True)
class Oracle(Policy):
    """One answer of a train question in a passage, or a few, uniformly at random. Nothing is hidden in other passages.

    It is for studies, as an upper bound; a search never has it, since it knows the answers in place of learning to.
    """

    spans: int = knob(1, choices=(1, 2, 4))
    searched: ClassVar[Literal["always", "named", "never"]] = "never"

    def __post_init__(self) -> None:
        require(self.spans >= 1, "spans", self.spans, "at least 1")

    def needs(self) -> tuple[Annotation, ...]:
        return (Answers(),)

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        found = passages.spans[self.needs()[0]]
        found_R = np.diff(np.searchsorted(found.starts_S, passages.starts_R1))
        hidden_S = picked(found_R, np.minimum(found_R, self.spans), rng)
        return mask_of(passages, found.starts_S[hidden_S], found.ends_S[hidden_S])
