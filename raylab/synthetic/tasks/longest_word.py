"""Longest word: the longest of the words that a marker divides."""

from dataclasses import dataclass

import numpy as np

from raylab.masking.sampling import bounds
from raylab.synthetic.alphabet import Alphabet
from raylab.synthetic.rows import Rows
from raylab.synthetic.task import Lengths, Unary, between, in_parts, uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class LongestWord(Unary):
    """The longest word, the first one of several: with `|` between words, a b | c d e | f g h -> c d e.

    Inputs: from 1 to half the longest payload's number of words, none of them empty, their lengths a random composition
    (as in Deduplicate) of a random total, such that words and dividers together have the length of a payload.
    """

    def inputs(self, rows: int, alphabet: Alphabet, lengths: Lengths, rng: np.random.Generator) -> Rows:
        words_R = between(1, np.full(rows, lengths.longest // 2), rng)
        least_R = np.maximum(lengths.shortest - (words_R - 1), words_R)
        tokens_R = between(least_R, lengths.longest - (words_R - 1), rng)
        _, sizes_W = in_parts(tokens_R, words_R, rng)
        # a divider behind every word but the last of a row
        last_W = np.zeros(len(sizes_W), bool)
        last_W[bounds(words_R)[1:] - 1] = True
        ends_W = np.cumsum(sizes_W + ~last_W)
        x = uniform(tokens_R + words_R - 1, alphabet, rng)
        x.tokens_N[ends_W[~last_W] - 1] = alphabet.markers["word"]
        return x

    def output(self, x: Rows, alphabet: Alphabet) -> Rows:
        divider_N = x.tokens_N == alphabet.markers["word"]
        words_R = x.counts(divider_N) + 1
        first_R1 = bounds(words_R)
        word_N = np.cumsum(divider_N) - divider_N + x.row  # rows end a word, too
        sizes_W = np.bincount(word_N[~divider_N], minlength=first_R1[-1])
        begins_W = np.zeros(first_R1[-1], np.int64)
        begins_W[1:] = np.cumsum(sizes_W)[:-1]
        # the longest of each row, the first of equal ones
        row_W = np.repeat(np.arange(len(x)), words_R)
        best_R = np.lexsort((-sizes_W, row_W))[first_R1[:-1]]
        return Rows(tokens_N=x.tokens_N[~divider_N], starts_R1=bounds(sizes_W)).slices(begins_W[best_R], sizes_W[best_R])
