"""Collocations by pointwise mutual information, for n-grams of any length (Levine et al. 2021, arXiv 2010.01825).

The PMI of an n-gram is the least of ln p(n-gram) - ln p(parts), over all ways to cut it into contiguous parts: it is a
collocation if even its best explanation by parts is far too weak. Letters: W words, C candidates.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.annotations._words import Words, words_of
from raylab.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Pmi(Annotation):
    """Non-overlapping collocations of 2 to `longest` words, the longer and then the stronger one where two overlap.

    None holds punctuation, so none reaches across a comma. min_count: rarer n-grams are none. min_pmi: in nats; 3 says 20
    times as often as by chance. Levine et al. keep the best of each length instead, so that half of their corpus is
    covered; a threshold does not depend on the corpus' size.
    """

    longest: int = 5
    min_count: int = 5
    min_pmi: float = 3.0
    gives: ClassVar[str] = "spans"

    def __post_init__(self) -> None:
        if not 2 <= self.longest <= 8:
            raise UserError(f"longest is {self.longest}; expected 2 to 8 words.")

    def compute(self, text: TokenisedText) -> np.ndarray:
        """Int64 (S, 2): first token and one past the last of each collocation."""
        words = words_of(text)
        found = np.zeros((0, 2), dtype=np.int64)
        taken_W = np.zeros(len(words.ids_W), bool)
        for length, pmi_W in reversed(list(enumerate(self._pmi(words), start=2))):
            starts = _without_overlap(np.flatnonzero(pmi_W >= self.min_pmi), pmi_W, length, taken_W)
            found = np.concatenate([found, np.stack([words.starts_W[starts], words.ends_W[starts + length - 1]], axis=1)])
        return found[np.argsort(found[:, 0])]

    def _pmi(self, words: Words) -> list[np.ndarray]:
        """For the lengths 2, 3, ...: the PMI of the n-gram that begins at each word; -inf where none does."""
        ids_W, log_p_W = _counted(words.ids_W, 1)
        best = [log_p_W]  # best[n - 1]: the greatest log-probability of the n-gram, whole or cut into parts
        result = []
        for length in range(2, self.longest + 1):
            ids_W, log_p_W = _counted(_extended(ids_W, words, length), self.min_count)
            parts_W = np.max([best[k - 1] + _shifted(best[length - k - 1], k) for k in range(1, length)], axis=0)
            frequent_W = ids_W >= 0
            result.append(np.where(frequent_W, log_p_W - np.where(frequent_W, parts_W, 0.0), -np.inf))
            best.append(np.maximum(parts_W, log_p_W))
        return result


def _extended(ids_W: np.ndarray, words: Words, length: int) -> np.ndarray:
    """The n-gram that begins at each word, from the one that is a word shorter; -1 where that is rare or the text ends."""
    last_W = np.minimum(np.arange(len(ids_W)) + length - 1, max(len(ids_W) - 1, 0))
    joined_W = np.ones(len(ids_W), bool)
    joined_W[1:] = words.starts_W[1:] == words.ends_W[:-1]
    joined_W[1:] &= words.passages_W[1:] == words.passages_W[:-1]
    spoken_W = np.array([any(map(str.isalnum, word)) for word in words.vocabulary], dtype=bool)[words.ids_W]
    joined_W[1:] &= spoken_W[1:] & spoken_W[:-1]
    whole_W = joined_W[last_W] & (np.arange(len(ids_W)) + length <= len(ids_W)) & (ids_W >= 0)
    return np.where(whole_W, ids_W * len(words.vocabulary) + words.ids_W[last_W], -1)


def _counted(keys_W: np.ndarray, min_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Dense ids of the keys that occur at least `min_count` times, -1 for others; and their log-probabilities."""
    there = keys_W >= 0
    _, index, counts = np.unique(keys_W[there], return_inverse=True, return_counts=True)
    counts_W, ids_W = np.zeros(len(keys_W), np.int64), np.full(len(keys_W), -1)
    counts_W[there], ids_W[there] = counts[index], index
    with np.errstate(divide="ignore"):
        log_p_W = np.log(counts_W) - np.log(max(int(there.sum()), 1))
    rare_W = counts_W < min_count
    return np.where(rare_W, -1, ids_W), np.where(rare_W, -np.inf, log_p_W)


def _shifted(values_W: np.ndarray, by: int) -> np.ndarray:
    """The value of the word that stands `by` words later; -inf past the end."""
    return np.concatenate([values_W[by:], np.full(min(by, len(values_W)), -np.inf)])


def _without_overlap(starts: np.ndarray, pmi_W: np.ndarray, length: int, taken_W: np.ndarray) -> np.ndarray:
    """Of the candidates of one length those that touch no taken word nor a stronger candidate; marks their words.

    In rounds: whoever is strongest among its neighbours is kept, its neighbours go, and the others try again.
    """
    kept = []
    around = np.arange(1 - length, length)
    while len(starts := starts[~taken_W[starts[:, None] + np.arange(length)].any(axis=1)]):
        strength_W = np.full(len(pmi_W) + 2 * length, -np.inf)
        strength_W[starts + length] = pmi_W[starts]
        near = strength_W[starts[:, None] + length + around]
        earlier, later = near[:, : length - 1].max(axis=1), near[:, length:].max(axis=1)
        best = starts[(pmi_W[starts] > earlier) & (pmi_W[starts] >= later)]
        taken_W[best[:, None] + np.arange(length)] = True
        kept.append(best)
    return np.concatenate([np.zeros(0, np.int64), *kept])
