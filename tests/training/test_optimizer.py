"""The schedule at its corners, and what is decayed."""

import pytest

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.training.optimizer import Optimization


def rates(steps: int, **settings: float) -> list[float]:
    optimization = Optimization(learning_rate=1.0, **settings)
    return [optimization.rate_at(step, steps) for step in range(steps)]


def test_warmup_stable_decay() -> None:
    expected = [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    assert rates(10, warmup=0.2, decay=0.4) == pytest.approx(expected)


def test_no_warmup_begins_at_the_plateau_and_no_decay_ends_there() -> None:
    assert rates(7, warmup=0.0, decay=0.0) == [1.0] * 7


def test_warmup_and_decay_may_fill_the_stage() -> None:
    assert rates(8, warmup=0.5, decay=0.5) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("steps", [1, 2, 3, 100])
@pytest.mark.parametrize(("warmup", "decay"), [(0.1, 0.4), (0.1, 0.9), (1.0, 0.0), (0.0, 1.0)])
def test_every_step_learns_and_none_more_than_the_plateau(steps: int, warmup: float, decay: float) -> None:
    assert all(0 < rate <= 1 for rate in rates(steps, warmup=warmup, decay=decay))


def test_the_plateau_does_not_depend_on_where_the_run_ends() -> None:
    """A run may be judged on the plateau, and a longer one has the same past."""
    assert rates(40, warmup=0.0, decay=0.4)[:12] == rates(20, warmup=0.0, decay=0.4)[:12]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected a positive number"),
        ({"warmup": 0.7, "decay": 0.4}, "warmup 0.7 and decay 0.4"),
        ({"warmup": -0.1}, "warmup -0.1"),
    ],
)
def test_settings_out_of_range_are_told(settings: dict[str, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Optimization(**settings)


def test_matrices_are_decayed_and_vectors_are_not(data: Prepared) -> None:
    model = build(ModelSpec(family="bart"), data.tokenizer, seed=0)
    optimizer = Optimization(weight_decay=0.3).optimizer(model)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {p.ndim >= 2: decay[id(p)] for p in model.parameters()} == {True: 0.3, False: 0.0}
    assert len(decay) == len(list(model.parameters()))
