"""The order of rows: whole epochs, like lengths together, a function of the step alone."""

import numpy as np
import pytest

from raylab.errors import UserError
from raylab.training.order import WINDOW, Order

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(5, 65, 320)


def epoch(order: Order, number: int) -> np.ndarray:
    first = number * order.batches_per_epoch
    return np.concatenate([order.rows(step) for step in range(first, first + order.batches_per_epoch)])


def test_every_row_once_an_epoch_in_another_order() -> None:
    order = Order(LENGTHS, 8, seed=1)
    epochs = [epoch(order, number) for number in range(3)]
    assert all(sorted(rows) == list(range(320)) for rows in epochs)
    assert epochs[0].tolist() != epochs[1].tolist() != epochs[2].tolist()


def test_rows_left_out_of_an_epoch_come_in_others() -> None:
    order = Order(LENGTHS[:30], 8, seed=1)
    epochs = [set(epoch(order, number)) for number in range(10)]
    assert all(len(rows) == 24 for rows in epochs)
    assert set.union(*epochs) == set(range(30))


def test_a_batch_depends_on_the_step_alone() -> None:
    straight = Order(LENGTHS, 8, seed=1)
    rows = [straight.rows(step).tolist() for step in range(100)]
    jumping = Order(LENGTHS, 8, seed=1)
    for step in RNG.permutation(100):
        assert jumping.rows(int(step)).tolist() == rows[step]
        assert Order(LENGTHS, 8, seed=1).rows(int(step)).tolist() == rows[step]
    assert Order(LENGTHS, 8, seed=2).rows(0).tolist() != rows[0]


def test_like_lengths_share_a_batch() -> None:
    def padding(batches: list[np.ndarray]) -> float:
        return sum(float((LENGTHS[rows].max() - LENGTHS[rows]).sum()) for rows in batches)

    order = Order(LENGTHS, 8, seed=1)
    bucketed = [order.rows(step) for step in range(40)]
    shuffled = list(RNG.permutation(320).reshape(40, 8))
    assert padding(bucketed) < padding(shuffled) / 4
    assert all((np.diff(LENGTHS[rows]) <= 0).all() for rows in bucketed)


def test_lengths_are_not_in_order_over_an_epoch() -> None:
    """Within a window the batches are shuffled: no run from long to short, which would bias the late steps."""
    order = Order(LENGTHS, 8, seed=1)
    means = np.array([LENGTHS[order.rows(step)].mean() for step in range(40)])
    assert 0.3 * WINDOW < (np.diff(means[:WINDOW]) > 0).sum() < 0.7 * WINDOW


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_fewer_rows_than_a_batch_make_one_batch(rows: int) -> None:
    order = Order(LENGTHS[:rows], 8, seed=1)
    assert [sorted(order.rows(step)) for step in range(3)] == [list(range(rows))] * 3


def test_no_rows_is_told() -> None:
    with pytest.raises(UserError, match="no rows to train on"):
        Order([], 8, seed=1)
