"""Invented batches of passages, with invented annotations, for the tests of masking."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raylab.data.annotation import Annotation
from raylab.masking.corrupt import Symbols
from raylab.masking.policy import Mask, Passages, Policy, Spans
from raylab.masking.sampling import Units, words

PAD, EOS, MASK_SYMBOL = 0, 1, 2
SENTINELS = tuple(range(3, 11))
FIRST_TOKEN, VOCABULARY = 20, 500
T5 = Symbols(pad=PAD, eos=EOS, mask=MASK_SYMBOL, sentinels=SENTINELS, vocab_size=VOCABULARY)
BART = replace(T5, sentinels=())


def passages_of(lengths: Sequence[int], seed: int = 0, head: int = 1, holes: float = 0.03) -> Passages:
    """Passages of these lengths; the first `head` tokens of each, and a share `holes` of the others, are not maskable."""
    rng = np.random.default_rng(seed)
    starts_R1 = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    count = int(starts_R1[-1])
    place_N = np.arange(count) - np.repeat(starts_R1[:-1], lengths)
    return Passages(
        tokens_N=rng.integers(FIRST_TOKEN, VOCABULARY, count).astype(np.uint16),
        starts_R1=starts_R1,
        maskable_N=(place_N >= head) & (rng.random(count) >= holes),
        word_starts_N=(rng.random(count) < 0.7) | (place_N == 0),
        vocab_size=VOCABULARY,
        spans={},
        weights={},
    )


def ragged(seed: int, passages: int = 60, longest: int = 70) -> Passages:
    """Passages of all lengths, among them empty ones, ones of a single token and ones without a maskable token."""
    lengths = np.random.default_rng(seed).integers(0, longest, passages)
    lengths[:6] = [0, 1, 2, 0, 3, longest]
    batch = passages_of(lengths.tolist(), seed)
    batch.maskable_N[batch.starts_R1[5] : batch.starts_R1[6]] = False
    return batch


def annotated(passages: Passages, policy: Policy, seed: int = 0) -> Passages:
    """The passages with what the policy needs: random collocations of words, random weights."""
    rng = np.random.default_rng(seed)
    spans: dict[Annotation, Spans] = {}
    weights: dict[Annotation, np.ndarray] = {}
    for annotation in policy.needs():
        if annotation.gives == "spans":
            spans[annotation] = _spans(words(passages), rng)
        else:
            weights[annotation] = rng.gamma(1.0, 2.0, len(passages.tokens_N)).astype(np.float32)
    return replace(passages, spans=spans, weights=weights)


def _spans(units: Units, rng: np.random.Generator) -> Spans:
    """About every sixth pair of neighbouring words."""
    row_U = np.repeat(np.arange(len(units.bounds_R1) - 1), np.diff(units.bounds_R1))
    pairs = (units.ends_U[:-1] == units.starts_U[1:]) & (row_U[:-1] == row_U[1:])
    first = np.flatnonzero(pairs & (rng.random(len(pairs)) < 0.3))
    first = first[np.diff(first, prepend=-2) > 1]
    return Spans(starts_S=units.starts_U[first], ends_S=units.ends_U[first + 1])


def mask_from(passages: Passages, spans: Sequence[tuple[int, int]], inserted: Sequence[int] = ()) -> Mask:
    """A mask that hides these token ranges and stands empty spans before these tokens."""
    hidden_N, begins_N = np.zeros((2, len(passages.tokens_N)), bool)
    for start, end in spans:
        hidden_N[start:end] = begins_N[start] = True
    inserted_N = np.zeros_like(hidden_N)
    inserted_N[list(inserted)] = True
    return Mask(hidden_N=hidden_N, begins_N=begins_N, inserted_N=inserted_N if len(inserted) else None)


def rebuilt(input_ids: np.ndarray, labels: np.ndarray, markers: frozenset[int]) -> list[int]:
    """The passage that an input and its spans target tell together: in order, each marker's span in its place."""
    row, target = [t for t in input_ids.tolist() if t != PAD], [t for t in labels.tolist() if t != -100]
    answers: list[list[int]] = []
    for token in target[: target.index(EOS)]:
        if token in markers:
            answers.append([])
        else:
            answers[-1].append(token)
    spans = iter(answers)
    passage: list[int] = []
    for token in row[: row.index(EOS)]:
        passage += next(spans) if token in markers else [token]
    assert next(spans, None) is None, "the target holds a span that the input does not ask for"
    return passage
