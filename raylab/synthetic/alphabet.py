"""What synthetic sequences are made of: ordinary tokens of any tokenizer as symbols, or symbol ids without one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from transformers import PreTrainedTokenizerBase

from raylab.data.tokenizer import ids_of
from raylab.errors import UserError
from raylab.seeds import derive
from raylab.synthetic.rows import Rows

# Tokens with a meaning of their own. The paper uses T5's sentinels: the first four as here, in LIME the first seven.
MARKERS = ("name_end", "word", "argument", "empty", "separator", "upper", "lower", "math", "maps", "open", "close")
_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz "


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """The token ids that tasks write.

    symbols_S: what sequences are made of; their meaning plays no role. markers: an id for each of MARKERS (`name_end`
    stands behind a task's name, `word` divides words, `argument` the two arguments of a task, `empty` is the whole
    output where it has no token; the others are LIME's). texts: the ids of words and of decimal numbers.
    """

    symbols_S: np.ndarray
    markers: Mapping[str, int]
    texts: Callable[[Sequence[str]], list[list[int]]]
    _numbers: list[list[int]] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, sentinels: Sequence[int], symbols: int = 0, seed: int = 0) -> "Alphabet":
        """All ordinary tokens of a tokenizer, or `symbols` of them, drawn with `seed`.

        Markers are the tokenizer's first sentinels, as in the paper. A tokenizer with too few of them (BART's has none)
        gives its last ordinary tokens, which then are no symbols. Raises UserError where there are too few tokens.
        """
        special = {*tokenizer.all_special_ids, *sentinels}
        ordinary = np.array([token for token in range(len(tokenizer)) if token not in special])
        markers = list(sentinels[: len(MARKERS)])
        if len(markers) < len(MARKERS):
            ordinary, markers = ordinary[: -len(MARKERS)], ordinary[-len(MARKERS) :].tolist()
        if symbols > len(ordinary):
            raise UserError(
                f"symbols is {symbols}; this tokenizer has {len(ordinary)} ordinary tokens. Give at most as many, or 0 for all."
            )
        if symbols:
            ordinary = np.sort(np.random.default_rng(derive(seed, "symbols")).permutation(ordinary)[:symbols])
        return cls(
            symbols_S=ordinary, markers=dict(zip(MARKERS, markers, strict=True)), texts=lambda texts: ids_of(tokenizer, texts)
        )

    @classmethod
    def plain(cls, symbols: int, first: int = 2) -> "Alphabet":
        """Without a tokenizer: symbols are `first`, `first` + 1, ...; behind them the markers, then characters for texts.
        The vocabulary that takes has `first` + `symbols` + 48 entries."""
        behind = first + symbols
        characters = {character: behind + len(MARKERS) + i for i, character in enumerate(_CHARACTERS)}
        return cls(
            symbols_S=np.arange(first, behind),
            markers={name: behind + i for i, name in enumerate(MARKERS)},
            texts=lambda texts: [[characters[character] for character in text] for text in texts],
        )

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Independent symbols, all as likely."""
        return self.symbols_S[rng.integers(len(self.symbols_S), size=count)]

    def distinct(self, rng: np.random.Generator, sizes_R: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """sizes_R[r] different symbols for each row, all choices as likely: a function of a row and a number from 0 to
        sizes_R[r] - 1. Raises UserError where there are too few symbols.

        One random order of all symbols serves the whole batch; a row takes its own from a random place on, around the end.
        """
        needed, there = int(sizes_R.max(initial=0)), len(self.symbols_S)
        if needed > there:
            raise UserError(f"{needed} different symbols are needed at once and there are {there}. Give more symbols.")
        order_S = rng.permutation(self.symbols_S)
        begins_R = rng.integers(there, size=len(sizes_R))
        return lambda row, number: order_S[(begins_R[row] + number) % there]

    def decimals(self, values_R: np.ndarray) -> Rows:
        """Each number as decimal text."""
        known = self._numbers
        if (highest := int(values_R.max(initial=0))) >= len(known):
            known.extend(self.texts([str(number) for number in range(len(known), highest + 1)]))
        table = Rows.lists(known)
        return table.slices(table.starts_R1[values_R], table.sizes[values_R])

    @cached_property
    def yes_or_no(self) -> Rows:
        """Two rows: "no", "yes"."""
        return Rows.lists(self.texts(["no", "yes"]))
