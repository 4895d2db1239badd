"""From a global batch to each worker's micro-batches: nothing lost, nothing twice, no padding that all share."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from raylab.masking.corrupt import Batch
from raylab.models.flops import CostModel
from raylab.training.batching import MicroBatch, pairs, step_batch
from raylab.training.parallel import Parallel

EOS, PAD = 2, 0
COST = CostModel(input_weights=10, target_weights=20, width=4, layers=1)


def batch_of(rows: int) -> Batch:
    """Row i holds i + 1 tokens of id 100 + i and asks for as many less one."""
    return pairs([[100 + i] * (i + 1) for i in range(rows)], [[200 + i] * i for i in range(rows)], EOS, PAD, max_tokens=99)


def real(micro: MicroBatch) -> list[tuple[list[int], list[int]]]:
    """The rows of a micro-batch without padding."""
    inputs = [ids[mask].tolist() for ids, mask in zip(micro.input_ids_BT, micro.attention_BT, strict=True)]
    return list(zip(inputs, [row[row != -100].tolist() for row in micro.labels_BU], strict=True))


def test_pairs_end_in_eos_and_are_cut() -> None:
    batch = pairs([[5, 6, 7, 8], [9]], [[3], [4, 4]], EOS, PAD, max_tokens=3)
    assert batch.input_ids_BT.tolist() == [[5, 6, EOS], [9, EOS, PAD]]
    assert batch.attention_BT.tolist() == [[True, True, True], [True, True, False]]
    assert batch.labels_BU.tolist() == [[3, EOS, -100], [4, 4, EOS]]


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("micro_batch", [0, 1, 3])
def test_workers_and_micro_batches_hold_every_row_once(world: int, micro_batch: int) -> None:
    batch = batch_of(7)
    shards = [step_batch(batch, Parallel(rank=rank, world=world), COST, 50, micro_batch) for rank in range(world)]
    held = [row for shard in shards for micro in shard.micro_batches() for row in real(micro)]
    expected = [([100 + i] * (i + 1) + [EOS], [200 + i] * i + [EOS]) for i in range(7)]
    assert sorted(held) == sorted(expected)
    assert all(len(micro.input_ids_BT) <= (micro_batch or 7) for shard in shards for micro in shard.micro_batches())


def test_counts_are_those_of_the_global_batch() -> None:
    for rank in range(2):
        step = step_batch(batch_of(7), Parallel(rank=rank, world=2), COST, 50)
        assert (step.corpus_tokens, step.input_tokens, step.target_tokens) == (50, 28 + 7, 21 + 7)
        assert step.flops == COST.training_flops(35, 28, 5.0, 4.0)
        assert (step.positions, step.padding) == (7 * 8 + 7 * 7, 7 * 8 - 35 + 7 * 7 - 28)


def test_what_only_encodes_computes_no_targets() -> None:
    step = step_batch(batch_of(7), Parallel(), replace(COST, decodes=False), 50)
    assert (step.positions, step.padding) == (7 * 8, 7 * 8 - 35)


def test_micro_batches_are_as_wide_as_their_own_rows() -> None:
    step = step_batch(batch_of(6), Parallel(), COST, 0, micro_batch=2)
    assert [tuple(micro.input_ids_BT.shape) for micro in step.micro_batches()] == [(2, 3), (2, 5), (2, 7)]
    assert [tuple(micro.labels_BU.shape) for micro in step.micro_batches()] == [(2, 2), (2, 4), (2, 6)]


def test_a_worker_without_a_row_takes_part_and_asks_nothing() -> None:
    step = step_batch(batch_of(1), Parallel(rank=1, world=2), COST, 0)
    (micro,) = step.micro_batches()
    assert len(micro.input_ids_BT) == 1
    assert (micro.labels_BU == -100).all()
    assert step.target_tokens == 1


def test_tensors_are_whole_numbers_on_the_device() -> None:
    (micro,) = step_batch(batch_of(3), Parallel(), COST, 0).micro_batches()
    kinds: list[Any] = [t.dtype for t in (micro.input_ids_BT, micro.attention_BT, micro.labels_BU)]
    assert kinds == [torch.int64, torch.bool, torch.int64]
    assert np.array_equal(micro.labels_BU[2], [202, 202, EOS])
