"""The words of a corpus, as the corpus-wide statistics of annotations count them. W words, P passages, N tokens."""

from dataclasses import dataclass

import numpy as np

from raylab.data.annotation import TokenisedText
from raylab.masking.policy import Passages
from raylab.masking.sampling import words


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The maskable words of a corpus: their tokens, their passage, and which word it is, whatever its case."""

    starts_W: np.ndarray
    ends_W: np.ndarray
    passages_W: np.ndarray
    ids_W: np.ndarray
    vocabulary: tuple[str, ...]


def words_of(text: TokenisedText) -> Words:
    """The same words that masking policies see, as case-folded text: equal words in any tokenizer."""
    units = words(Passages(tokens_N=text.tokens_N, starts_R1=text.starts_P1, maskable_N=text.maskable_N,
                           word_starts_N=text.word_starts_N, vocab_size=text.vocab_size, spans={}, weights={}))  # fmt: skip
    passages_W = np.repeat(np.arange(len(text.texts)), np.diff(units.bounds_R1))
    ranges = zip(
        passages_W.tolist(), text.char_starts_N[units.starts_U].tolist(), text.char_ends_N[units.ends_U - 1].tolist(), strict=True
    )
    index: dict[str, int] = {}
    ids = [index.setdefault(text.texts[p][a:b].strip().casefold(), len(index)) for p, a, b in ranges]
    return Words(
        starts_W=units.starts_U,
        ends_W=units.ends_U,
        passages_W=passages_W,
        ids_W=np.array(ids, dtype=np.int64),
        vocabulary=tuple(index),
    )


def spread(text: TokenisedText, words: Words, weights_W: np.ndarray) -> np.ndarray:
    """One float32 a token: its word's weight, 0 where no policy may hide it."""
    weights_N = np.zeros(len(text.tokens_N), dtype=np.float32)
    weights_N[text.maskable_N] = np.repeat(weights_W, words.ends_W - words.starts_W)
    return weights_N
