"""Where the answers of the train questions stand: what an oracle would hide."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.annotations.salient import apart
from raylab.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers(Annotation):
    """The answers of train questions, in the passages that these are joined to (raylab.masking.learned.pairs)."""

    gives: ClassVar[str] = "spans"

    def compute(self, text: TokenisedText) -> np.ndarray:
        """Int64 (S, 2): first token and one past the last of each. Raises UserError for text that is of no task."""
        from raylab.data.prepared import Prepared  # which opens corpora, and these annotations
        from raylab.masking.learned.pairs import pairs

        if text.folder is None:
            raise UserError("the masking policy 'oracle' hides answers of train questions; it needs a dataset, not a text alone.")
        asked = pairs(Prepared(text.folder).splits["train"], text).asked
        found = {(int(text.starts_P1[pair.row]) + a, int(text.starts_P1[pair.row]) + b) for pair in asked for a, b in pair.spans}
        return apart(np.array(sorted(found), dtype=np.int64).reshape(-1, 2))
