"""The spans that a learned masking policy would hide, with their scores: a corpus is read by the policy once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from raylab.data.annotation import Annotation, TokenisedText
from raylab.errors import UserError
from raylab.recipe import NOT_IN_KEY


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned(Annotation):
    """The best spans of every passage that do not overlap, each with its log-probability.

    product: the policy's key. path: its card's folder; where it is empty, the product of that key beside the prepared data.
    The card is read when a corpus is annotated for the first time, and not after.
    """

    product: str = ""
    path: str = field(default="", compare=False, metadata=NOT_IN_KEY)
    gives: ClassVar[str] = "spans"

    def compute(self, text: TokenisedText) -> np.ndarray:
        """Float64 (S, 3): first token, one past the last, log-probability. Raises UserError without a card that fits."""
        from raylab.data.tokenizer import load_tokenizer  # transformers and torch: only where a corpus is read
        from raylab.masking.learned.card import load
        from raylab.masking.learned.scoring import Reading, best_spans

        extractor, card = load(self._folder(text))
        if text.folder is not None:
            card.check_tokenizer(load_tokenizer(str(text.folder / "tokenizer")), "that of these data")
        return best_spans(extractor, Reading.of(text))

    def _folder(self, text: TokenisedText) -> Path:
        if self.path:
            return Path(self.path)
        if not self.product or text.folder is None:
            raise UserError(
                "the masking policy 'learned' names no policy; expected the key of a product, or the path of a policy card. "
                "`raylab policy learn supervised` makes one, and --policy PATH searches it."
            )
        return text.folder.parents[1] / "products" / self.product
