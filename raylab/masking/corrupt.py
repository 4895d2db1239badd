"""From a mask to what a model reads: padded inputs and labels, for encoder-decoders and for encoders.

Letters: B rows (one a passage), T input positions, U label positions, N tokens of the batch laid end to end.

Two families of encoder-decoders, told apart by their symbols. With sentinels (T5, Raffel et al. 2020) the k-th hidden
span becomes the k-th sentinel, and the target names each span by its sentinel. Without (BART, Lewis et al. 2020) every
span becomes one mask symbol. The same code serves both: a row of markers, of which BART has only one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raylab.errors import UserError
from raylab.masking.policy import MASK, Mask, Passages
from raylab.masking.sampling import before, bounds, first_tokens, of_passage

IGNORED = -100  # the label that torch's cross entropy leaves out

Target = Literal["spans", "sentence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbols:
    """The token ids that a corruption writes. `sentinels` is empty for models that have none (BART, BERT)."""

    pad: int
    eos: int
    mask: int
    sentinels: tuple[int, ...]
    vocab_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Model input, padded to the longest row of each side. Label padding is -100. segments_BT: 1 in the second of two texts, for
    models that tell them apart."""

    input_ids_BT: np.ndarray  # int64
    attention_BT: np.ndarray  # bool, False at padding
    labels_BU: np.ndarray  # int64
    segments_BT: np.ndarray | None = None  # int64


def corrupt(passages: Passages, mask: Mask, symbols: Symbols, target: Target, max_length: int, *, leading: bool = True) -> Batch:
    """Encoder-decoder input and labels. Both sides end in eos and hold at most `max_length` tokens, eos included.

    target: "spans" asks for the hidden spans, `<s0> span0 <s1> span1 ... eos`; "sentence" asks for the whole passage.
    leading: with False the first marker of the spans target is left out, so that a single hidden span is predicted
    alone (salient span masking).

    - Spans past the last sentinel reuse it: the realised rate stays what the policy drew, and as both sides keep the
      order of the spans, input and target still tell the passage.
    - Hidden tokens that carry a replacement stand in the input as that token. Nothing in the input asks for them, so
      the spans target leaves them out; the sentence target holds the original.
    - A passage that does not fit is cut on the input side, and spans cut there are not asked for. Empty spans go
      before any token does. A target that does not fit is cut at its end.
    """
    if max_length < 2:
        raise UserError(f"max_length is {max_length}; expected at least 2, for one token and eos.")
    layout = _Layout.of(passages, mask, symbols, max_length - 1)
    inputs_BT, attention_BT = _side(passages, layout.input_columns(), symbols.eos, symbols.pad, max_length)
    columns = layout.target_columns(leading) if target == "spans" else [(passages.tokens_N, np.ones_like(mask.hidden_N))]
    labels_BU, _ = _side(passages, columns, symbols.eos, IGNORED, max_length)
    return Batch(input_ids_BT=inputs_BT, attention_BT=attention_BT, labels_BU=labels_BU)


def mlm(passages: Passages, mask: Mask, symbols: Symbols, *, first: int | None = None, last: int | None = None) -> Batch:
    """Encoder input, one position a token (BERT, Devlin et al. 2019), labels at the hidden positions only.

    first, last: symbols that are set before and after every passage, such as BERT's [CLS] and [SEP].
    """
    shown_N, masked_N = _shown(passages, mask)
    shift = int(first is not None)
    ends_B = shift + np.diff(passages.starts_R1)
    place_T = np.arange(ends_B.max(initial=shift) + (last is not None)) if len(ends_B) else np.arange(0)
    there_BT = (place_T >= shift) & (place_T < ends_B[:, None])
    inputs_BT, labels_BT = np.full((2, *there_BT.shape), [[[symbols.pad]], [[IGNORED]]], dtype=np.int64)
    inputs_BT[there_BT] = np.where(masked_N, np.int64(symbols.mask), shown_N)
    labels_BT[there_BT] = np.where(mask.hidden_N, passages.tokens_N, np.int64(IGNORED))
    if first is not None:
        inputs_BT[:, 0] = first
    if last is not None:
        inputs_BT[np.arange(len(ends_B)), ends_B] = last
    return Batch(input_ids_BT=inputs_BT, attention_BT=place_T < (ends_B + (last is not None))[:, None], labels_BU=labels_BT)


Column = tuple[np.ndarray, np.ndarray]  # for each token of the batch: a value, and whether it is written


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """What each token contributes, in this order: the marker of an empty span, the marker of its own span, itself.

    shown_N: the token as the input shows it. kept_N: False past the end of an input that is full. masked_N: hidden
    behind a marker. opens_N: masked, and the first of its span. number_N: how many markers stand before the token.
    """

    tokens_N: np.ndarray
    shown_N: np.ndarray
    kept_N: np.ndarray
    masked_N: np.ndarray
    opens_N: np.ndarray
    inserted_N: np.ndarray | None
    number_N: np.ndarray
    markers: np.ndarray

    @classmethod
    def of(cls, passages: Passages, mask: Mask, symbols: Symbols, room: int) -> "_Layout":
        shown_N, masked_N = _shown(passages, mask)
        opens_N = masked_N & (mask.begins_N | _first_of_run(passages, masked_N))
        items_N = ~masked_N | opens_N
        used_N = before(items_N, passages.starts_R1) + items_N
        kept_N = used_N <= room
        inserted_N = _inserts_that_fit(passages, mask, items_N & kept_N, kept_N, room)
        opened_N = opens_N if inserted_N is None else opens_N.astype(np.int64) + inserted_N
        return cls(
            tokens_N=passages.tokens_N,
            shown_N=shown_N,
            kept_N=kept_N,
            masked_N=masked_N,
            opens_N=opens_N & kept_N,
            inserted_N=inserted_N,
            number_N=before(opened_N, passages.starts_R1),
            markers=np.array(symbols.sentinels or (symbols.mask,)),
        )

    def input_columns(self) -> list[Column]:
        """A token's place in the input holds its span's marker, or the token as shown, or nothing."""
        shown_N = np.where(self.opens_N, self._marker(self._own_number()), self.shown_N)
        return [*self._empty_spans(True), (shown_N, self.opens_N | (self.kept_N & ~self.masked_N))]

    def target_columns(self, leading: bool) -> list[Column]:
        number_N = self._own_number()
        named_N = self.opens_N if leading else self.opens_N & (number_N > 0)
        own = (self._marker(number_N), named_N)
        return [*self._empty_spans(leading), own, (self.tokens_N, self.kept_N & self.masked_N)]

    def _empty_spans(self, leading: bool) -> list[Column]:
        if self.inserted_N is None:
            return []
        return [(self._marker(self.number_N), self.inserted_N if leading else self.inserted_N & (self.number_N > 0))]

    def _own_number(self) -> np.ndarray:
        return self.number_N if self.inserted_N is None else self.number_N + self.inserted_N

    def _marker(self, number_N: np.ndarray) -> np.ndarray:
        return self.markers[np.minimum(number_N, len(self.markers) - 1)]


def _shown(passages: Passages, mask: Mask) -> tuple[np.ndarray, np.ndarray]:
    """The tokens with their replacements, and which of them a marker hides."""
    if mask.replacement_N is None:
        return passages.tokens_N, mask.hidden_N
    replaced_N = mask.hidden_N & (mask.replacement_N != MASK)
    return np.where(replaced_N, mask.replacement_N, passages.tokens_N), mask.hidden_N & ~replaced_N


def _first_of_run(passages: Passages, masked_N: np.ndarray) -> np.ndarray:
    """True for masked tokens without a masked one before them in their passage, whatever the policy said of spans."""
    first_N = masked_N.copy()
    first_N[1:] &= ~masked_N[:-1]
    starts = first_tokens(passages)
    first_N[starts] = masked_N[starts]
    return first_N


def _inserts_that_fit(passages: Passages, mask: Mask, items_N: np.ndarray, kept_N: np.ndarray, room: int) -> np.ndarray | None:
    """The empty spans for which the input has room beside all its tokens, the first ones of each passage."""
    if mask.inserted_N is None:
        return None
    wanted_N = mask.inserted_N & kept_N
    left_R = room - np.diff(bounds(items_N)[passages.starts_R1])
    return wanted_N & (before(wanted_N, passages.starts_R1) < of_passage(passages, left_R))


def _side(
    passages: Passages, columns: Sequence[Column], eos: int, padding: int, max_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """One row a passage: what its tokens write, in order, then eos where there is room; and where something stands."""
    flat, written_B = _written(passages, columns)
    lengths_B = np.minimum(written_B, max_length)
    if (lengths_B < written_B).any():
        place = np.arange(len(flat)) - np.repeat(bounds(written_B)[:-1], written_B)
        flat = flat[place < max_length]
    ends_B = np.minimum(lengths_B + 1, max_length)
    place_T = np.arange(ends_B.max(initial=0))
    side_BT = np.full((len(ends_B), len(place_T)), padding, dtype=np.int64)
    side_BT[place_T < lengths_B[:, None]] = flat
    ended_B = np.flatnonzero(lengths_B < ends_B)
    side_BT[ended_B, lengths_B[ended_B]] = eos
    return side_BT, place_T < ends_B[:, None]


def _written(passages: Passages, columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
    """What the columns write, token by token and column by column within a token; and how much each passage does."""
    if len(columns) == 1:
        values_N, written_N = columns[0]
        return values_N[written_N], np.diff(bounds(written_N)[passages.starts_R1])
    writing = np.flatnonzero(np.logical_or.reduce([written_N for _, written_N in columns]))
    values = np.stack([values_N[writing] for values_N, _ in columns], axis=1)
    written = np.stack([written_N[writing] for _, written_N in columns], axis=1)
    counts = bounds(written.sum(axis=1))
    return values[written], np.diff(counts[np.searchsorted(writing, passages.starts_R1)])
