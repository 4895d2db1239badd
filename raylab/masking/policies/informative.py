"""Informative words: more likely hidden the more they tell, by tf-idf or by what sets the domain apart.

Sources: selective masking (Gu et al. 2020, arXiv 2004.09733) and difference-masking (Wilf et al. 2023, arXiv
2305.14577) hide what is particular to the domain; the draw without replacement is the Gumbel top-k trick (Kool et al.
2019, arXiv 1903.06059).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from raylab.data.annotation import Annotation
from raylab.data.annotations.domain import Domain
from raylab.data.annotations.tfidf import Tfidf
from raylab.masking.policy import Mask, Passages
from raylab.masking.sampling import mask_of, ordered, within, words
from raylab.masking.schedule import RatedPolicy, require
from raylab.recipe import knob


@dataclass(frozen=True, kw_only=True, slots=True)
class Informative(RatedPolicy):
    """Words of every passage, drawn without replacement with odds exp(weight / temperature), up to the rate.

    weights: "tfidf", or "domain", the log-odds of a word against `background` (see raylab.data.annotations.domain).
    temperature: in the weights' unit, nats. Near 0 always the heaviest words, large: any word.
    """

    weights: Literal["tfidf", "domain"] = "tfidf"
    background: str = "wordfreq:en"
    temperature: float = knob(1.0, low=0.1, high=10.0, log=True)

    def __post_init__(self) -> None:
        RatedPolicy.__post_init__(self)
        require(self.temperature > 0, "temperature", self.temperature, "a positive number")

    def needs(self) -> tuple[Annotation, ...]:
        return (Tfidf() if self.weights == "tfidf" else Domain(background=self.background),)

    def draw(self, passages: Passages, rng: np.random.Generator, progress: float) -> Mask:
        units = words(passages)
        weights_U = passages.weights[self.needs()[0]][units.starts_U]
        arrival_U = np.log(rng.standard_exponential(len(weights_U))) - weights_U / self.temperature
        hidden = within(units, ordered(arrival_U, units.bounds_R1), self.rate_at(progress), rng)
        return mask_of(passages, units.starts_U[hidden], units.ends_U[hidden])
