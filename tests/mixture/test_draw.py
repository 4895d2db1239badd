"""Which rows of which tasks an update is made of."""

from typing import Any

import numpy as np
import pytest

from raylab.mixture.draw import Draw

LENGTHS = [[5] * 24, [7] * 40, [9] * 8]
WEIGHTS = np.array([0.2, 0.7, 0.1])


def draw(batching: Any, weights: np.ndarray = WEIGHTS, **settings: Any) -> Draw:
    return Draw(weights, LENGTHS, **{"parts": 4, "part_rows": 4, "steps": 1000, "batching": batching, "seed": 3, **settings})


@pytest.mark.parametrize("batching", ["heterogeneous", "batch_homogeneous", "homogeneous"])
def test_tasks_are_drawn_in_proportion(batching: Any) -> None:
    drawn = np.bincount(draw(batching).tasks.ravel(), minlength=3) / 4000
    deviation = np.sqrt(WEIGHTS * (1 - WEIGHTS) / (1000 if batching == "batch_homogeneous" else 4000))
    assert (np.abs(drawn - WEIGHTS) <= (4 * deviation if batching != "homogeneous" else 1e-9)).all()


def test_an_update_mixes_tasks_or_does_not() -> None:
    mixed, alone, blocks = (draw(b).tasks for b in ("heterogeneous", "batch_homogeneous", "homogeneous"))
    kinds = lambda tasks: np.array([len(set(row)) for row in tasks])  # noqa: E731
    assert kinds(mixed).mean() > 1.5
    assert (kinds(alone) == 1).all() and (kinds(blocks) == 1).all()
    changes = lambda tasks: int((np.diff(tasks[:, 0]) != 0).sum())  # noqa: E731
    assert changes(blocks) == 2 and changes(alone) > 100


def test_a_task_without_weight_is_never_drawn_and_needs_no_rows() -> None:
    drawn = Draw(np.array([0.5, 0.5, 0.0]), [*LENGTHS[:2], []], parts=4, part_rows=4, steps=100, batching="heterogeneous", seed=0)
    assert {part.task for step in range(100) for part in drawn(step)} == {0, 1}


@pytest.mark.parametrize("batching", ["heterogeneous", "batch_homogeneous", "homogeneous"])
def test_every_row_of_a_task_comes_before_one_comes_again(batching: Any) -> None:
    drawn = draw(batching)
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for step in range(200):
        for part in drawn(step):
            assert len(part.rows) == 4
            seen[part.task] += part.rows.tolist()
    for task, rows in seen.items():
        size = len(LENGTHS[task])
        for begin in range(0, len(rows) - size + 1, size):
            assert sorted(rows[begin : begin + size]) == list(range(size))


def test_an_update_follows_from_the_step_alone() -> None:
    forwards, backwards = draw("heterogeneous"), draw("heterogeneous")
    ones = [forwards(step) for step in range(20)]
    for step in reversed(range(20)):
        for one, other in zip(ones[step], backwards(step), strict=True):
            assert one.task == other.task and np.array_equal(one.rows, other.rows)
    assert not np.array_equal(draw("heterogeneous", seed=4).tasks, forwards.tasks)
