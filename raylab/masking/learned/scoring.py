"""A corpus read by an extractor: padded batches of passages of like length, and the best spans of every passage.

Letters: N tokens, P passages, B passages of a batch, T positions, K spans a passage, S spans.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from raylab.data.annotation import TokenisedText
from raylab.masking.learned.extractor import NEVER, Extractor, top_spans

BATCH_TOKENS = 16_384  # padding included: enough to keep two cores busy, little beside a corpus
CANDIDATES = 8  # spans that are kept of a passage


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """P passages laid end to end, as raylab.data.annotation.TokenisedText has them, without their texts."""

    tokens_N: np.ndarray
    starts_P1: np.ndarray
    maskable_N: np.ndarray

    @classmethod
    def of(cls, text: TokenisedText) -> "Reading":
        """The passages of a text."""
        return cls(
            tokens_N=np.asarray(text.tokens_N), starts_P1=np.asarray(text.starts_P1), maskable_N=np.asarray(text.maskable_N)
        )

    def rows(self, rows_R: np.ndarray) -> "Reading":
        """Some of the passages, laid end to end."""
        index = np.concatenate([np.zeros(0, np.int64), *(np.arange(self.starts_P1[r], self.starts_P1[r + 1]) for r in rows_R)])
        starts_R1 = np.concatenate([[0], np.cumsum(self.lengths_P[rows_R])]).astype(np.int64)
        return Reading(tokens_N=self.tokens_N[index], starts_P1=starts_R1, maskable_N=self.maskable_N[index])

    @property
    def lengths_P(self) -> np.ndarray:  # noqa: N802 (the shape is in the name)
        """Tokens of each passage."""
        return np.diff(self.starts_P1)

    def batch(self, rows_B: Sequence[int] | np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """These passages, padded behind: ids, where a token stands, where one may be hidden; (B, T) each."""
        rows_B = np.asarray(rows_B)
        lengths_B = self.lengths_P[rows_B]
        place_T = np.arange(max(1, int(lengths_B.max(initial=1))))
        there_BT = place_T < lengths_B[:, None]
        index_BT = np.where(there_BT, self.starts_P1[rows_B][:, None] + place_T, 0)
        ids_BT = np.where(there_BT, self.tokens_N[index_BT], 0).astype(np.int64)
        return torch.from_numpy(ids_BT), torch.from_numpy(there_BT), torch.from_numpy(self.maskable_N[index_BT] & there_BT)


def best_spans(extractor: Extractor, reading: Reading, count: int = CANDIDATES) -> np.ndarray:
    """The best `count` spans of every passage that do not overlap: float64 (S, 3) of first token, one past the last, both in
    the corpus, and log-probability; sorted. Float64 holds a place in any corpus exactly.

    Each of torch's threads takes whole batches: an LSTM's steps are too small to be shared, and so no sum depends on how many
    threads there are.
    """
    with _threads(extractor) as each:
        found = each(partial(_scored, extractor, reading, count), batches_by_length(reading.lengths_P))
        spans_S3 = np.concatenate([np.zeros((0, 3)), *found])
    return spans_S3[np.argsort(spans_S3[:, 0], kind="stable")]


@contextmanager
def _threads(extractor: Extractor) -> Iterator[Callable[..., Iterable[np.ndarray]]]:
    """A `map` over as many threads as torch has, each computing alone; on a GPU, which takes turns, the plain one."""
    threads = torch.get_num_threads()
    if threads == 1 or next(extractor.parameters()).is_cuda:
        yield map
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def _scored(extractor: Extractor, reading: Reading, count: int, rows_B: np.ndarray) -> np.ndarray:
    device = next(extractor.parameters()).device
    batch = (part.to(device) for part in reading.batch(rows_B))
    found = torch.stack([part.double() for part in top_spans(extractor.log_probs(*batch), count)], dim=-1)
    spans_BK3: np.ndarray = found.cpu().numpy()
    spans_BK3[:, :, :2] += reading.starts_P1[rows_B][:, None, None]
    return spans_BK3[spans_BK3[:, :, 2] > NEVER / 2]


def batches_by_length(lengths_P: np.ndarray) -> Iterator[np.ndarray]:
    """The passages that have a token, in batches of like length and at most BATCH_TOKENS tokens with padding."""
    order = np.argsort(lengths_P, kind="stable")
    order = order[lengths_P[order] > 0]
    begin = 0
    while begin < len(order):
        # the longest of a batch is its last: as many as fit when padded to it
        padded = np.arange(1, len(order) - begin + 1) * lengths_P[order[begin:]]
        size = max(1, int(np.searchsorted(padded, BATCH_TOKENS, side="right")))
        yield order[begin : begin + size]
        begin += size
