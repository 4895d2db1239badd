"""What holds for every stage, so that a new one is tested because it exists."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from raylab.data.prepared import Prepared
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.recipe import ModelSpec, Stage, decode, encode
from raylab.synthetic.tasks.reverse import Reverse
from raylab.training.checkpoint import Checkpoints
from raylab.training.context import Context
from raylab.training.progress import Progress
from tests import tiny

SMALL = {"policy": Uniform(), "task": Reverse(), "budget_tokens": 6 * 4 * tiny.TOKENS_A_PASSAGE, "steps": 6, "batch_size": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(params=Stage.registry.names())
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each stage at a size of a few steps."""
    kind: Any = Stage.registry.get(request.param)
    small: Stage = kind(**{f.name: SMALL[f.name] for f in dataclasses.fields(kind) if f.name in SMALL})
    return small


def trained(stage: Stage, data: Prepared, stop_after: int | None = None, **context: Any) -> tuple[list[Progress], dict[str, Any]]:
    """What a stage yields, and the weights that it leaves."""
    model = build(ModelSpec(dropout=0.1), data.tokenizer, tiny.SEEDS.init)
    steps = []
    for progress in stage.run(model, Context(data=data, seeds=tiny.SEEDS, stage="0-this", **context)):
        steps.append(progress)
        if len(steps) == stop_after:
            break
    return steps, {name: p.detach() for name, p in model.named_parameters()}


def test_it_tells_every_step_and_trains_in_place(stage: Stage, data: Prepared) -> None:
    steps, weights = trained(stage, data)
    assert [p.step for p in steps] == list(range(1, steps[0].steps + 1))
    assert {p.stage for p in steps} == {"0-this"}
    assert steps[-1].loss is not None and math.isfinite(steps[-1].loss)
    assert all(p.target_tokens > 0 and p.flops > 0 and p.learning_rate > 0 for p in steps)
    before = build(ModelSpec(dropout=0.1), data.tokenizer, tiny.SEEDS.init)
    assert any(not torch.equal(p, weights[name]) for name, p in before.named_parameters())


def test_what_it_reads_is_known_before(stage: Stage, data: Prepared) -> None:
    steps, _ = trained(stage, data)
    assert list(stage.reads(Context(data=data, seeds=tiny.SEEDS))) == [p.corpus_tokens for p in steps]


def test_it_is_the_same_twice_and_after_a_stop(stage: Stage, data: Prepared, tmp_path: Path) -> None:
    _, straight = trained(stage, data)
    trained(stage, data, stop_after=4, checkpoints=Checkpoints(tmp_path, every_s=0.0))
    rest, resumed = trained(stage, data, checkpoints=Checkpoints(tmp_path, every_s=0.0))
    assert rest[0].step == 4
    assert all(torch.equal(resumed[name], weight) for name, weight in straight.items())


def test_it_crosses_as_json(stage: Stage) -> None:
    assert decode(Stage, encode(stage)) == stage
