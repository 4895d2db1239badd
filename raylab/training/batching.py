"""From rows of numpy to this worker's micro-batches on its device."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from raylab.masking.corrupt import Batch
from raylab.models.flops import CostModel
from raylab.training.parallel import Parallel


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatch:
    """Model inputs of a few sequences on this worker, padded to their longest (ids; -100 pads labels). A row may hold several
    sequences of one length: the choices of a question, the windows of a passage. asked_N: where in labels_BU, laid flat, the
    labels are that are not -100, if that is known beforehand; a GPU that is asked for it would have to be waited for."""

    input_ids_BT: torch.Tensor
    attention_BT: torch.Tensor
    labels_BU: torch.Tensor
    segments_BT: torch.Tensor | None = None
    asked_N: torch.Tensor | None = None

    def flat(self) -> "MicroBatch":
        """Rows of several sequences (B, C, T) as sequences (B * C, T)."""
        segments = None if self.segments_BT is None else self.segments_BT.flatten(0, 1)
        return replace(
            self, input_ids_BT=self.input_ids_BT.flatten(0, 1), attention_BT=self.attention_BT.flatten(0, 1), segments_BT=segments
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StepBatch:
    """This worker's rows of one global batch, and the counts and cost of the whole of it.

    micro_batch: rows that the recipe wants computed at once, at least one. positions: of inputs, and of a decoder's targets,
    with the padding that is among them. masking_s: seconds in which it was drawn what is hidden.
    """

    own: Batch
    device: torch.device
    micro_batch: int
    corpus_tokens: int
    input_tokens: int
    target_tokens: int
    positions: int
    padding: int
    flops: float
    masking_s: float = 0.0

    @property
    def width(self) -> int:
        """Tokens of a padded row: the longest input and the longest target."""
        return math.prod(self.own.input_ids_BT.shape[1:]) + self.own.labels_BU.shape[1]

    def micro_batches(self, rows: int = 0) -> Iterator[MicroBatch]:
        """Cut into `rows` rows each (0: as the recipe wants it), copied to the device one after the other."""
        size = rows or self.micro_batch
        for i in range(0, len(self.own.input_ids_BT), size):
            yield to_device(self.own, slice(i, i + size), self.device)


def step_batch(
    batch: Batch, parallel: Parallel, cost: CostModel, corpus_tokens: int, micro_batch: int = 0, masking_s: float = 0.0
) -> StepBatch:
    """Shard a global batch over the workers, in micro-batches of `micro_batch` rows (0: all that a worker has at once),
    and count what the whole of it holds."""
    rows, sequences = len(batch.input_ids_BT), math.prod(batch.input_ids_BT.shape[:-1])
    input_tokens, target_tokens = int(batch.attention_BT.sum()), int((batch.labels_BU != -100).sum())
    positions = batch.input_ids_BT.size + cost.decodes * batch.labels_BU.size
    own = _rows(batch, parallel.shard(rows)) if parallel.rank < rows else _nothing_asked(batch)
    own_rows = len(own.input_ids_BT)
    return StepBatch(
        own=own,
        device=parallel.device,
        micro_batch=min(micro_batch or own_rows, own_rows),
        corpus_tokens=corpus_tokens,
        input_tokens=input_tokens,
        target_tokens=max(1, target_tokens),
        positions=positions,
        padding=positions - input_tokens - cost.decodes * target_tokens,
        flops=cost.training_flops(input_tokens, target_tokens, input_tokens / sequences, target_tokens / rows),
        masking_s=masking_s,
    )


def _rows(batch: Batch, rows: slice) -> Batch:
    segments_BT = None if batch.segments_BT is None else batch.segments_BT[rows]
    return Batch(
        input_ids_BT=batch.input_ids_BT[rows], attention_BT=batch.attention_BT[rows], labels_BU=batch.labels_BU[rows],
        segments_BT=segments_BT,
    )  # fmt: skip


def _nothing_asked(batch: Batch) -> Batch:
    """One row without a label, for a worker that has none: it must take part when gradients are averaged."""
    return replace(_rows(batch, slice(1)), labels_BU=np.full_like(batch.labels_BU[:1], -100))


def to_device(batch: Batch, rows: slice, device: torch.device) -> MicroBatch:
    """Copy rows to the device without their common padding; from pinned memory, in the background, on a GPU."""
    width = max(1, int(batch.attention_BT[rows].sum(axis=-1).max(initial=1)))
    target = 1 + int(np.flatnonzero((batch.labels_BU[rows] != -100).any(axis=0)).max(initial=0))
    labels_BU = batch.labels_BU[rows, :target]

    def moved(array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

    return MicroBatch(
        input_ids_BT=moved(batch.input_ids_BT[rows, ..., :width]),
        attention_BT=moved(batch.attention_BT[rows, ..., :width]),
        labels_BU=moved(labels_BU),
        segments_BT=None if batch.segments_BT is None else moved(batch.segments_BT[rows, ..., :width]),
        asked_N=moved(np.flatnonzero(labels_BU != -100)),
    )


def pairs(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], eos: int, pad: int, max_tokens: int) -> Batch:
    """Source and target sequences as one padded batch, each ended by eos and cut to `max_tokens`."""

    def padded(rows: Sequence[Sequence[int]], fill: int) -> np.ndarray:
        ended = [[*row[: max_tokens - 1], eos] for row in rows]
        out = np.full((len(ended), max(map(len, ended))), fill, dtype=np.int64)
        for i, row in enumerate(ended):
            out[i, : len(row)] = row
        return out

    input_ids_BT = padded(sources, -1)
    attention_BT = input_ids_BT >= 0
    return Batch(
        input_ids_BT=np.where(attention_BT, input_ids_BT, pad), attention_BT=attention_BT, labels_BU=padded(targets, -100)
    )
