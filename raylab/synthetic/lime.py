"""LIME: patterns, rules and results, of which two are given and the third is asked for (Wu et al. 2021, arXiv 2101.06223).

As in the program of Wu, Li and Liang 2022. Every example has symbols of its own: "upper" ones, which rules rewrite,
"lower" and "math" ones. A *pattern* is twice as many draws from n upper symbols as n, and some math symbols, all
shuffled. A *rule* for each upper symbol that was drawn gives 2 or more lower and math symbols for it. The *result* is the
pattern with all rules applied. Every source begins with the symbols: `<UPPER>` ... `<LOWER>` ... `<MATH>` ... `<sep>`, and
has no task's name. A rule is written `A : [ ... ]`. Upper symbols and rules come in one order (the paper's program takes
a Python set's), which the source tells.

The paper's sizes fit inputs of 220 tokens; for shorter ones all of them shrink together, to what always fits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raylab.errors import UserError
from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows, joined, shuffled, stacked
from raylab.synthetic.task import LONGEST, Lengths, Pairs, between

_SCALES = tuple(percent / 100 for percent in range(100, 0, -1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """lower, math: symbols of an example. uppers, signs, images: the fewest and the most upper symbols to draw from, math
    symbols in a pattern, tokens that a rule gives."""

    lower: int
    math: int
    uppers: tuple[int, int]
    signs: tuple[int, int]
    images: tuple[int, int]

    @classmethod
    def scaled(cls, scale: float) -> "Sizes":
        """The paper's sizes times a scale, down to the least that leaves a task."""

        def size(paper: int, least: int) -> int:
            return max(least, round(scale * paper))

        return cls(
            lower=size(24, 4), math=size(20, 4), uppers=(size(3, 2), size(5, 2)), signs=(size(5, 2), size(19, 3)),
            images=(2, size(8, 3)),
        )  # fmt: skip

    @classmethod
    def within(cls, room: int) -> "Sizes":
        """The largest with which no input or output has more than `room` tokens. Raises UserError if there is none."""
        for scale in _SCALES:
            if (sizes := cls.scaled(scale)).longest <= min(room, LONGEST):
                return sizes
        raise UserError(
            f"LIME needs inputs of at least {cls.scaled(0).longest} tokens; the data are prepared for {room}. Prepare them "
            "for longer texts, or take another task."
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest input: symbols with their markers, result, separator, rules."""
        n, image = self.uppers[1], self.images[1]
        return 4 + n + self.lower + self.math + 2 * n * image + self.signs[1] + 1 + n * (4 + image)


@dataclass(frozen=True, kw_only=True, slots=True)
class Derivations:
    """R examples in their parts. symbols: all that stands before. rules: as they are written."""

    symbols: Rows
    pattern: Rows
    rules: Rows
    result: Rows


def derivations(rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Derivations:
    """Random examples. Raises UserError where the alphabet or the room is too small."""
    sizes = Sizes.within(lengths.room)
    uppers_R = between(sizes.uppers[0], np.full(rows, sizes.uppers[1]), rng)
    symbol = alphabet.distinct(rng, uppers_R + sizes.lower + sizes.math)
    pattern, upper_N = _patterns(uppers_R, sizes, rng)
    used_RU = _used(pattern, upper_N, rows, sizes.uppers[1])
    image = _images(used_RU.sum(axis=1), uppers_R, sizes, rng)

    row_N, number_N = pattern.row, pattern.tokens_N
    shown = Rows(tokens_N=symbol(row_N, number_N), starts_R1=pattern.starts_R1)
    rule_RU = np.cumsum(used_RU.ravel()).reshape(used_RU.shape) - 1  # the rule of an upper symbol that is used
    rewritten = Rows(tokens_N=symbol(np.repeat(np.nonzero(used_RU)[0], image.sizes), image.tokens_N), starts_R1=image.starts_R1)
    upper = Rows.of(symbol(*np.nonzero(used_RU)), used_RU.sum(axis=1))
    return Derivations(
        symbols=_preamble(upper, symbol, uppers_R, sizes, alphabet),
        pattern=shown,
        rules=_written(upper, rewritten, alphabet),
        result=_applied(shown, rewritten, np.where(upper_N, rule_RU[row_N, np.where(upper_N, number_N, 0)], -1)),
    )


def asked(symbols: Rows, one: Rows, other: Rows, output: Rows, alphabet: Alphabet) -> Pairs:
    """An example's symbols, two of its parts with a separator between, and the third as the output."""
    separator = Rows.same([alphabet.markers["separator"]], len(output))
    return Pairs(sources=joined(symbols, one, separator, other), targets=output)


def _patterns(uppers_R: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> tuple[Rows, np.ndarray]:
    """Numbers of an example's symbols: upper ones from 0, then lower, then math ones; and which of them are upper."""
    lengths_R = 2 * uppers_R + between(sizes.signs[0], np.full(len(uppers_R), sizes.signs[1]), rng)
    pattern = Rows.of(np.zeros(int(lengths_R.sum()), np.int64), lengths_R)
    uppers_N = pattern.spread(uppers_R)
    first_math_N = uppers_N + sizes.lower
    numbers_N = np.where(
        pattern.place < 2 * uppers_N, between(0, uppers_N - 1, rng), first_math_N + rng.integers(sizes.math, size=len(uppers_N))
    )
    mixed = shuffled(Rows(tokens_N=numbers_N, starts_R1=pattern.starts_R1), rng)
    return mixed, mixed.tokens_N < uppers_N


def _used(pattern: Rows, upper_N: np.ndarray, rows: int, most: int) -> np.ndarray:
    """Which upper symbols stand in each pattern."""
    used_RU = np.zeros((rows, most), bool)
    used_RU[pattern.row[upper_N], pattern.tokens_N[upper_N]] = True
    return used_RU


def _images(rules_R: np.ndarray, uppers_R: np.ndarray, sizes: Sizes, rng: np.random.Generator) -> Rows:
    """What each rule gives: numbers of lower and math symbols. One row a rule."""
    sizes_K = between(sizes.images[0], np.full(int(rules_R.sum()), sizes.images[1]), rng)
    first_N = np.repeat(np.repeat(uppers_R, rules_R), sizes_K)
    return Rows.of(first_N + rng.integers(sizes.lower + sizes.math, size=len(first_N)), sizes_K)


def _preamble(
    upper: Rows, symbol: Callable[[np.ndarray, np.ndarray], np.ndarray], uppers_R: np.ndarray, sizes: Sizes, alphabet: Alphabet
) -> Rows:
    rows = len(uppers_R)

    def marker(name: str) -> Rows:
        return Rows.same([alphabet.markers[name]], rows)

    def block(first_R: np.ndarray, count: int) -> Rows:
        row_N = np.repeat(np.arange(rows), count)
        return Rows.of(symbol(row_N, first_R[row_N] + np.tile(np.arange(count), rows)), np.full(rows, count))

    lower, math = block(uppers_R, sizes.lower), block(uppers_R + sizes.lower, sizes.math)
    return joined(marker("upper"), upper, marker("lower"), lower, marker("math"), math, marker("separator"))


def _written(upper: Rows, images: Rows, alphabet: Alphabet) -> Rows:
    """`A : [ ... ]` for every rule of a row."""
    rules = len(images)
    left, maps, opened, closed = (
        Rows.of(tokens, np.ones(rules, np.int64))
        for tokens in (upper.tokens_N, *(np.full(rules, alphabet.markers[name]) for name in ("maps", "open", "close")))
    )
    each = joined(left, maps, opened, images, closed)
    return Rows(tokens_N=each.tokens_N, starts_R1=each.starts_R1[upper.starts_R1])


def _applied(pattern: Rows, images: Rows, rule_N: np.ndarray) -> Rows:
    """The pattern with rule rule_N[i] in the place of token i, where that is none below 0."""
    own = Rows.of(pattern.tokens_N, np.ones(len(rule_N), np.int64))
    table = stacked(images, own)
    take_N = np.where(rule_N >= 0, rule_N, len(images) + np.arange(len(rule_N)))
    each = table.slices(table.starts_R1[take_N], table.sizes[take_N])
    return Rows(tokens_N=each.tokens_N, starts_R1=each.starts_R1[pattern.starts_R1])
