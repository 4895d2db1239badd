"""How much a word tells about its passage: term frequency times inverse document frequency (Sparck Jones 1972)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.annotations._words import spread, words_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Tfidf(Annotation):
    """(1 + ln tf) * ln(P / df), in nats: tf counts the word in its passage, df the passages, of P, that hold it."""

    gives: ClassVar[str] = "weights"

    def compute(self, text: TokenisedText) -> np.ndarray:
        """Float32 (N,): each token has its word's weight."""
        words = words_of(text)
        pairs, pair_W, counts = np.unique(
            words.passages_W * len(words.vocabulary) + words.ids_W, return_inverse=True, return_counts=True
        )
        passages_with = np.bincount(pairs % max(len(words.vocabulary), 1), minlength=len(words.vocabulary))
        idf_W = np.log(len(text.texts) / passages_with[words.ids_W])
        return spread(text, words, (1 + np.log(counts[pair_W])) * idf_W)
