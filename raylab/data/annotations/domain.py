"""What sets a corpus apart: the log-odds of its words against general language.

The idea is that of difference-masking (Wilf et al. 2023, arXiv 2305.14577): the words that tell the domain from what
the base model was pretrained on are what intermediate pretraining has to teach. That text is rarely at hand, so the
background is general English, or a text of the user's choice.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.annotations._words import spread, words_of
from raylab.errors import UserError

_WORD = re.compile(r"\w+|[^\w\s]+")
_RAREST = 1e-8  # the lowest frequency wordfreq's lists reach; what is not in them counts as that


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain(Annotation):
    """ln p(word in the corpus) - ln p(word in the background), in nats; 0 for punctuation.

    background: "wordfreq:LANGUAGE", the frequencies of the package wordfreq (Speer 2022, "en" and 40 more), or the path
    of a text file. An annotation is cached under its settings: give a background that changes another name.
    """

    background: str = "wordfreq:en"
    gives: ClassVar[str] = "weights"

    def compute(self, text: TokenisedText) -> np.ndarray:
        """Float32 (N,): each token has its word's weight."""
        words = words_of(text)
        here = np.bincount(words.ids_W, minlength=len(words.vocabulary)) / max(len(words.ids_W), 1)
        odds = np.log(here) - np.log(self._frequencies(words.vocabulary))
        odds[[not any(map(str.isalnum, word)) for word in words.vocabulary]] = 0.0
        return spread(text, words, odds[words.ids_W])

    def _frequencies(self, vocabulary: Sequence[str]) -> np.ndarray:
        language = self.background.removeprefix("wordfreq:")
        return _general(vocabulary, language) if language != self.background else _counted(vocabulary, Path(self.background))


def _general(vocabulary: Sequence[str], language: str) -> np.ndarray:
    try:
        import wordfreq
    except ImportError as error:
        raise UserError(
            "background 'wordfreq:...' needs the package wordfreq, which is not installed. "
            "Run `pip install wordfreq`, or set background to a text file."
        ) from error
    if language not in wordfreq.available_languages():
        raise UserError(
            f"wordfreq has no language {language!r}; expected one of {', '.join(sorted(wordfreq.available_languages()))}."
        )
    return np.array([wordfreq.word_frequency(word, language, minimum=_RAREST) for word in vocabulary])


def _counted(vocabulary: Sequence[str], path: Path) -> np.ndarray:
    """Frequencies in a text file, half an occurrence added to each word so that none is 0."""
    if not path.is_file():
        raise UserError(f"background {str(path)!r} is no file; expected 'wordfreq:LANGUAGE' or the path of a text file.")
    counts = Counter(_WORD.findall(path.read_text(encoding="utf-8").casefold()))
    here = np.array([counts[word] for word in vocabulary], dtype=np.float64)
    return (here + 0.5) / (counts.total() + 0.5 * len(counts.keys() | set(vocabulary)))
