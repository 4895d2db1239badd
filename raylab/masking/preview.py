"""What a policy hides in a few texts, as pieces of text for people to read."""

from collections.abc import Iterator, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from raylab.data.annotation import Annotation, TokenisedText
from raylab.data.corpus import Corpus, tokenise
from raylab.data.task import Passage
from raylab.errors import UserError
from raylab.masking.policy import Mask, Passages, Policy, Spans, spans_of

Piece = tuple[str, bool]  # a piece of a text, and whether it is hidden


def preview(
    policy: Policy,
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    *,
    context: Sequence[str] = (),
    progress: float = 0.0,
) -> list[list[Piece]]:
    """One draw of the policy over `texts`, each cut into pieces that make it up again.

    Every hidden span is a piece of its own; an empty one (text infilling) is ("", True). context: further texts, for
    policies that count over a corpus; it is read only for those. Raises UserError for a text without a token.
    """
    read = [*texts, *(context if policy.needs() else ())]
    text = tokenise([Passage(id=str(i), title="", text=t) for i, t in enumerate(read)], tokenizer, _longest(read))
    if len(text.texts) != len(read):
        raise UserError("one of the texts to preview is empty; expected text with at least one word.")
    mask = policy.draw(_passages(text, policy.needs(), len(texts)), np.random.default_rng(seed), progress)
    return [list(_pieces(text, mask, row)) for row in range(len(texts))]


def preview_corpus(policy: Policy, corpus: Corpus, rows_R: np.ndarray, seed: int) -> list[list[Piece]]:
    """One draw of the policy over the passages `rows_R` of a corpus, as in training: titles are never hidden."""
    text = corpus.excerpt(rows_R)
    mask = policy.draw(corpus.passages(rows_R, policy.needs()), np.random.default_rng(seed), 0.0)
    return [list(_pieces(text, mask, row)) for row in range(len(rows_R))]


def _longest(texts: Sequence[str]) -> int:
    """More tokens than any of the texts can have, so that none is cut into windows: a byte is a token at the least."""
    return 2 + max((len(text.encode()) for text in texts), default=0)


def _passages(text: TokenisedText, annotations: Sequence[Annotation], rows: int) -> Passages:
    """The first `rows` passages, with annotations that are computed over all of them."""
    end = int(text.starts_P1[rows])
    computed = {annotation: annotation.compute(text) for annotation in annotations}
    return Passages(
        tokens_N=text.tokens_N[:end],
        starts_R1=text.starts_P1[: rows + 1],
        maskable_N=text.maskable_N[:end],
        word_starts_N=text.word_starts_N[:end],
        vocab_size=text.vocab_size,
        spans={a: _spans_before(found, end) for a, found in computed.items() if a.gives == "spans"},
        weights={a: weights_N[:end] for a, weights_N in computed.items() if a.gives == "weights"},
    )


def _spans_before(spans_S: np.ndarray, end: int) -> Spans:
    return spans_of(spans_S[spans_S[:, 0] < end])


def _pieces(text: TokenisedText, mask: Mask, row: int) -> Iterator[Piece]:
    whole, done = text.texts[row], 0
    for start, end in _hidden_ranges(text, mask, row):
        start = max(start, done)
        if start > done:
            yield whole[done:start], False
        done = max(start, end)
        yield whole[start:done], True
    if done < len(whole):
        yield whole[done:], False


def _hidden_ranges(text: TokenisedText, mask: Mask, row: int) -> Iterator[tuple[int, int]]:
    """The character ranges of the hidden spans of a passage, in order, without the space around them."""
    begin, end = int(text.starts_P1[row]), int(text.starts_P1[row + 1])
    inserted_N = mask.inserted_N if mask.inserted_N is not None else np.zeros_like(mask.hidden_N)
    for i in range(begin, end):
        if inserted_N[i]:
            yield (int(text.char_starts_N[i]),) * 2
        if mask.begins_N[i]:
            last = next((j for j in range(i + 1, end) if not mask.hidden_N[j] or mask.begins_N[j]), end) - 1
            yield _stripped(text.texts[row], int(text.char_starts_N[i]), int(text.char_ends_N[last]))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    hidden = text[start:end]
    return start + len(hidden) - len(hidden.lstrip()), end - len(hidden) + len(hidden.rstrip())
