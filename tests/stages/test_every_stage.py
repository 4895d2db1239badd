"""What holds for every stage, so that a new one is tested because it exists."""

import dataclasses
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.policies.infilling import Infilling
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.recipe import ModelSpec, Stage, decode, encode
from raylab.stages.init_from_statistics import InitFromStatistics
from raylab.synthetic.tasks.reverse import Reverse
from raylab.training.checkpoint import Checkpoints
from raylab.training.context import Context
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress
from tests import tiny

SMALL = {
    "policy": Uniform(), "task": Reverse(), "tasks": ("invented",), "part_rows": 1, "steps": 6, "batch_size": 4,
    "budget_tokens": 6 * 4 * tiny.TOKENS_A_PASSAGE,
}  # fmt: skip
# The bodies that a stage trains, where it is not every one, and what it is given beside SMALL.
BODIES = {
    "discriminate": ("roberta", "lstm"), "finetune": ("t5",), "pre_finetune": ("t5",), "synthesize": ("t5",),
    "init_from_statistics": (),
}  # fmt: skip
ENCODERS = {"denoise": {"target": "tokens"}}
CASES = [(name, family) for name in Stage.registry.names() for family in BODIES.get(name, ("t5", "roberta", "lstm"))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def small(name: str, family: str = "t5", **own: Any) -> Stage:
    """A stage at a size of a few steps, as it goes with a family of models."""
    kind: Any = Stage.registry.get(name)
    given = {**SMALL, **(ENCODERS.get(name, {}) if family != "t5" else {}), **own}
    stage: Stage = kind(**{f.name: given[f.name] for f in dataclasses.fields(kind) if f.name in given})
    return stage


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[Stage, str]:
    """Each stage with each family of models that it trains."""
    name, family = request.param
    return small(name, family), family


def fresh(family: str, data: Prepared, dropout: float = 0.1) -> Any:
    return build(ModelSpec(family=family, dropout=dropout), data.tokenizer, tiny.SEEDS.init)  # type: ignore[arg-type]


def trained(
    case: tuple[Stage, str], data: Prepared, stop_after: int | None = None, **context: Any
) -> tuple[list[Progress], dict[str, Any]]:
    """What a stage yields, and the weights that it leaves."""
    stage, family = case
    model = fresh(family, data)
    steps = []
    for progress in stage.run(model, Context(data=data, seeds=tiny.SEEDS, stage="0-this", **context)):
        steps.append(progress)
        if len(steps) == stop_after:
            break
    return steps, {name: p.detach() for name, p in model.named_parameters()}


def test_it_tells_every_step_and_trains_in_place(case: tuple[Stage, str], data: Prepared) -> None:
    steps, weights = trained(case, data)
    assert [p.step for p in steps] == list(range(1, steps[0].steps + 1))
    assert {p.stage for p in steps} == {"0-this"}
    assert steps[-1].loss is not None and math.isfinite(steps[-1].loss)
    assert all(p.target_tokens > 0 and p.flops > 0 and p.learning_rate > 0 for p in steps)
    before = fresh(case[1], data)
    assert any(not torch.equal(p, weights[name]) for name, p in before.named_parameters())


def test_what_it_reads_is_known_before(case: tuple[Stage, str], data: Prepared) -> None:
    steps, _ = trained(case, data)
    assert list(case[0].reads(Context(data=data, seeds=tiny.SEEDS))) == [p.corpus_tokens for p in steps]


def test_it_is_the_same_twice_and_after_a_stop(case: tuple[Stage, str], data: Prepared, tmp_path: Path) -> None:
    _, straight = trained(case, data)
    trained(case, data, stop_after=4, checkpoints=Checkpoints(tmp_path, every_s=0.0))
    rest, resumed = trained(case, data, checkpoints=Checkpoints(tmp_path, every_s=0.0))
    assert rest[0].step == 4
    assert all(torch.equal(resumed[name], weight) for name, weight in straight.items())


def summed(stage: Any, family: str, data: Prepared, world: int, micro_batch: int) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of one step, and its gradient, added up over workers and micro-batches of so many rows."""
    loss, gradients = 0.0, {}
    for rank in range(world):
        context = Context(data=data, seeds=tiny.SEEDS, stage="0-this", parallel=Parallel(rank=rank, world=world))
        with mock.patch(f"{type(stage).__module__}.train", return_value=()) as train:
            list(replace(stage, micro_batch=micro_batch).run(fresh(family, data, dropout=0.0), context))
        trained, training = train.call_args.args[:2]
        batch = training.batches(0)
        for micro in batch.micro_batches():
            value = training.loss(trained, micro) / batch.target_tokens
            value.backward()
            loss += value.item()
        for name, parameter in trained.named_parameters():
            if parameter.grad is not None:
                gradients[name] = gradients.get(name, 0) + parameter.grad
    return loss, gradients


@pytest.mark.parametrize("batch_size", [5, 1])  # of one row, the second worker has none
def test_its_losses_and_gradients_do_not_depend_on_workers_or_micro_batches(
    case: tuple[Stage, str], batch_size: int, data: Prepared
) -> None:
    stage: Any = replace(case[0], batch_size=batch_size)  # type: ignore[type-var]
    alone, gradient = summed(stage, case[1], data, world=1, micro_batch=0)
    for world, micro_batch in ((1, 2), (2, 0), (2, 1)):
        loss, parts = summed(stage, case[1], data, world, micro_batch)
        assert loss == pytest.approx(alone, rel=1e-5)
        assert parts.keys() == gradient.keys()
        for name, value in gradient.items():
            assert torch.allclose(parts[name], value, rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize(
    ("name", "family", "own", "told"),
    [
        (
            "denoise",
            "t5",
            {"target": "tokens"},
            "target is 'tokens', but a t5 model is an encoder-decoder; set target to 'spans'",
        ),
        ("denoise", "roberta", {"target": "spans"}, "target is 'spans', but a roberta-prelayernorm model is an encoder; set"),
        ("denoise", "lstm", {"policy": Infilling()}, "the masking policy 'infilling' sets mask symbols where nothing is hidden"),
        ("discriminate", "roberta", {"policy": Infilling()}, "the masking policy 'infilling' sets mask symbols where nothing is"),
        ("discriminate", "t5", {}, "discriminate trains an encoder, but a t5 model also writes; take an encoder"),
    ],
)
def test_a_body_that_does_not_go_with_it_is_told(name: str, family: str, own: dict[str, Any], told: str, data: Prepared) -> None:
    stage = small(name, family, **own)
    with pytest.raises(UserError, match=told):
        next(iter(stage.run(fresh(family, data), Context(data=data, seeds=tiny.SEEDS, stage="0-this"))))


@pytest.mark.parametrize("name", Stage.registry.names())
def test_it_crosses_as_json(name: str) -> None:
    stage = InitFromStatistics(source="somewhere") if name == "init_from_statistics" else small(name)
    assert decode(Stage, encode(stage)) == stage
