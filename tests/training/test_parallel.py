"""Two workers, in processes of their own over gloo, tell what one tells, up to the order of float additions."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch.multiprocessing

from raylab.data.prepared import Prepared
from raylab.recipe import Recipe, encode
from raylab.training.parallel import Parallel
from tests import tiny
from tests.training.workers import LEFT_AFTER, left, told_by, worker

WORLD = 2
# BART's GELU is smooth: there, a rounding error stays one. T5's ReLU can switch on for it, which AdamW makes visible
# where a unit was never on before, so that T5's traces are compared less closely.
SMOOTH: dict[str, Any] = {"family": "bart", "learning_rate": 3e-4}
RECIPES: dict[str, Recipe] = {
    "whole": tiny.recipe(**SMOOTH),
    "uneven": tiny.recipe(**SMOOTH, batch_size=5, micro_batch=2),
    "one-row": tiny.recipe(**SMOOTH, batch_size=1, pretrain_steps=4),  # one of the two has nothing to do
    "resumed": tiny.recipe(**SMOOTH, pretrain_steps=5),  # begun by one worker
    "t5": tiny.recipe(learning_rate=3e-4),
}
TOLERANCE = dict.fromkeys(RECIPES, 1e-5) | {"t5": 1e-2}  # relative
Told = dict[str, Any]


@pytest.fixture(scope="module")
def both(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Told, list[Told]]]:
    """What one worker tells of each recipe, and what each of two tells."""
    alone, together = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("together")
    left(RECIPES["resumed"], data, alone / "resumed", Parallel())
    shutil.copytree(alone / "resumed", together / "resumed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raylab.training.loop.READ_EVERY", 1)
        one = {name: told_by(recipe, data, alone / name, Parallel()) for name, recipe in RECIPES.items()}
    plain = {name: encode(recipe) for name, recipe in RECIPES.items()}
    begun = {"handed-over": plain["whole"]}
    torch.multiprocessing.spawn(worker, (WORLD, str(data.folder), str(together), plain, begun), nprocs=WORLD)
    told = {name: [read(together / f"{name}-{rank}.json") for rank in range(WORLD)] for name in (*RECIPES, "heads", "sums")}
    alone_again = {"handed-over": (one["whole"], [resumed_alone(RECIPES["whole"], data, together / "handed-over")])}
    return {name: (one.get(name, {}), two) for name, two in told.items()} | alone_again


def resumed_alone(recipe: Recipe, data: Prepared, folder: Path) -> Told:
    """What one worker tells of a run that two have begun: they saved all but the last of their steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raylab.training.loop.READ_EVERY", 1)
        return told_by(recipe, data, folder, Parallel())


def read(path: Path) -> Told:
    told: Told = json.loads(path.read_text())
    return told


@pytest.mark.parametrize("name", RECIPES)
def test_two_workers_tell_what_one_tells(name: str, both: dict[str, tuple[Told, list[Told]]]) -> None:
    one, two = both[name]
    for told in two:
        for figures in ("losses", "norms", "rungs"):
            assert told[figures] == pytest.approx(one[figures], rel=TOLERANCE[name]), figures
        assert told["numbers"].keys() == one["numbers"].keys()
        for measure, value in one["numbers"].items():
            assert told["numbers"][measure] == pytest.approx(value, rel=TOLERANCE[name]), measure


def test_what_two_began_one_finishes(both: dict[str, tuple[Told, list[Told]]]) -> None:
    straight, (resumed,) = both["handed-over"]
    missing = LEFT_AFTER - 1
    for figures in ("losses", "norms"):
        assert len(resumed[figures]) < len(straight[figures]), "it went on from the checkpoint"
    assert resumed["losses"] == pytest.approx(straight["losses"][missing:], rel=TOLERANCE["whole"])
    assert resumed["norms"][-4:] == pytest.approx(straight["norms"][-4:], rel=TOLERANCE["whole"])
    assert resumed["rungs"] == pytest.approx(straight["rungs"], rel=TOLERANCE["whole"])
    for measure, value in straight["numbers"].items():
        assert resumed["numbers"][measure] == pytest.approx(value, rel=TOLERANCE["whole"]), measure


def test_every_worker_knows_the_same(both: dict[str, tuple[Told, list[Told]]]) -> None:
    assert all(first == second for _, (first, second) in (both[name] for name in RECIPES))


def test_a_gradient_that_some_lack_is_theirs_that_have_it(both: dict[str, tuple[Told, list[Told]]]) -> None:
    _, told = both["heads"]
    assert told == [[[2.0, 2.0], [10.0, 10.0], [10.0, 10.0], None]] * WORLD


def test_memory_adds_up_what_messages_do(both: dict[str, tuple[Told, list[Told]]]) -> None:
    one, other = both["sums"][1]
    assert one["shared"] or sys.platform != "linux"
    assert one == other, "every worker has the same sum"
    assert one["memory"] == one["messages"], "two numbers have one sum"


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_shards_are_a_partition(count: int) -> None:
    shards = [list(range(count))[Parallel(rank=rank, world=3).shard(count)] for rank in range(3)]
    assert sorted(row for shard in shards for row in shard) == list(range(count))


def test_alone_every_operation_is_the_identity() -> None:
    alone = Parallel.current(torch.device("cpu"))
    assert alone == Parallel()
    assert alone.share({"a": 1}) == {"a": 1}
    assert alone.gather([1, 2], 2) == [1, 2]
    assert alone.sum(torch.tensor(2.0)) == 2.0
