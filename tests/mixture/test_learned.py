"""Learned weights: against direct computations, and on a planted problem."""

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.task import SPLITS, Labelled, TaskData
from raylab.errors import UserError
from raylab.mixture.learned import Alignment, Learned, begin, factors
from raylab.models.build import build
from raylab.models.flops import CostModel
from raylab.recipe import ModelSpec, Recipe, encode
from raylab.seeds import derive
from raylab.stages.finetune import Finetune
from raylab.stages.pre_finetune import PreFinetune
from raylab.training.batching import to_device
from raylab.training.context import Context
from raylab.training.objective import objective_of
from raylab.training.optimizer import Optimization
from raylab.training.order import Order
from raylab.training.parallel import Parallel
from tests import tiny
from tests.families import invented

CPU = torch.device("cpu")
COLOURS = ("red", "blue", "green", "white")
ANIMALS = ("fox", "hen", "owl", "cat")
TASKS = ("chance", "helpful")


def _task(name: str) -> TaskData:
    """Which colour is named; for `chance`, the same texts with labels that say nothing."""
    splits: dict[str, tuple[Labelled, ...]] = {}
    for split, size in zip(SPLITS, (96, 16, 16), strict=True):
        rows = []
        for i in range(size):
            draw = random.Random(f"{name} {split} {i}")
            colour, animal = draw.choice(COLOURS), draw.choice(ANIMALS)
            label = draw.randrange(4) if name == "chance" else COLOURS.index(colour)
            rows.append(Labelled(id=f"{split}-{i}", text=f"{animal} {draw.choice(ANIMALS)} {colour} {i} {name[0]}", label=label))
        splits[split] = tuple(rows)
    return TaskData(
        name=name, source=f"builtin:{name}", version=1, splits=splits, corpus=(), corpus_name="none", family="classification",
        labels=COLOURS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    sources = {name: _task(name) for name in TASKS}
    return prepare(_task("target"), "target", Preparation(vocab_size=400), tmp_path_factory.mktemp("learned"), sources=sources)


def stage(**settings: Any) -> PreFinetune:
    given = {"tasks": TASKS, "steps": 12, "batch_size": 16, "part_rows": 4, "optimization": Optimization(learning_rate=3e-3)}
    return PreFinetune(**{**given, "learned": Learned(every=4), **settings})


def context(data: Prepared, **settings: Any) -> Context:
    return Context(data=data, seeds=tiny.SEEDS, stage="0-pre_finetune", **settings)


def equipped(of: PreFinetune, data: Prepared) -> Any:
    return of.equip(build(ModelSpec(family="roberta"), data.tokenizer, 0), context(data))


def test_losses_are_multiplied_by_weights_over_proportions() -> None:
    model, drawn = begin(torch.nn.Linear(1, 1), 3), np.array([0.5, 0.3, 0.2])
    assert factors(model, drawn).tolist() == pytest.approx([1, 1, 1])
    model.mixture += torch.tensor([0.0, 1.0, -2.0])  # type: ignore[operator]
    weights = drawn * np.exp([0.0, 1.0, -2.0])
    assert factors(model, drawn).tolist() == pytest.approx((weights / weights.sum() / drawn).tolist())


def test_log_weights_move_by_the_cosine_of_gradients(data: Prepared) -> None:
    how = Learned(rate=0.7, rows=8)
    model = equipped(stage(learned=how), data)
    objectives = [*(objective_of(data.sources[name]) for name in TASKS), objective_of(data)]
    gradients = []
    for place, objective in enumerate(objectives):
        rows = Order(objective.lengths(), 8, derive(5, "alignment", place)).rows(2)
        model.zero_grad()
        model.eval()
        objective.loss(model, to_device(objective.batch(rows.tolist()), slice(None), CPU)).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.body.parameters() if p.grad is not None]))
    expected = torch.stack([torch.cosine_similarity(own, gradients[2], dim=0) for own in gradients[:2]])
    model.zero_grad()
    model.train()
    before = {name: p.clone() for name, p in model.named_parameters()}
    alignment = Alignment(objectives[:2], objectives[2], how, CostModel.of(model), seed=5)
    alignment.update(model, 2, CPU)
    assert alignment.flops > 0
    moved = 0.7 * (expected - expected.max())
    torch.testing.assert_close(model.mixture.float(), moved.float(), rtol=1e-3, atol=1e-5)
    assert model.training and all(torch.equal(before[name], p) and p.grad is None for name, p in model.named_parameters())


def test_the_targets_part_trains_its_head_alone(data: Prepared) -> None:
    one = stage()
    model = equipped(one, data)
    batches = one.batches(model, context(data))
    *mixed, last = batches(0).micro_batches()
    assert len(mixed) == 4 and last.task == len(TASKS)  # type: ignore[attr-defined]
    one._loss(batches.objectives, model, last).backward()  # type: ignore[attr-defined]
    assert {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None} == {"target"}
    fixed = stage(learned=None)
    plain = fixed.batches(equipped(fixed, data), context(data))(0)
    theirs = [float(micro.weight) / plain.target_tokens for micro in plain.micro_batches()]  # type: ignore[attr-defined]
    ours = [float(micro.weight) / batches(0).target_tokens for micro in mixed]  # type: ignore[attr-defined]
    assert ours == pytest.approx(theirs), "at first every loss counts as in the fixed mixture"


@torch.no_grad()
def test_workers_share_a_step_whose_weights_have_moved(data: Prepared) -> None:
    one = stage(batch_size=12, part_rows=6)
    model = equipped(one, data).eval()
    model.mixture += torch.tensor([0.0, 1.5])

    def loss(parallel: Parallel) -> float:
        batches = one.batches(model, context(data, parallel=parallel))
        batch, objectives = batches(1), batches.objectives  # type: ignore[attr-defined]
        return float(sum(one._loss(objectives, model, micro) for micro in batch.micro_batches(2)) / batch.target_tokens)

    assert sum(loss(Parallel(rank=rank, world=2)) for rank in range(2)) == pytest.approx(loss(Parallel()), rel=1e-4)


def test_the_weight_of_the_helpful_task_grows(data: Prepared) -> None:
    """Planted: one task asks what the target asks, the other one nothing that could be known."""
    one = stage(steps=100, batch_size=16, learned=Learned(every=5))
    model = equipped(one, data)
    *_, last = one.run(model, context(data))
    assert last.measured["weight_helpful"] > 0.8
    assert last.measured["weight_helpful"] + last.measured["weight_chance"] == pytest.approx(1)


def test_a_target_that_asks_for_words_has_no_head_to_train(tmp_path: Path) -> None:
    sources = {family: invented.task(family) for family in ("regression", "generation")}
    how = Preparation(vocab_size=400, max_tokens=32)
    data = prepare(invented.task("question_answering"), "target", how, tmp_path, sources=sources)
    one = stage(tasks=tuple(data.sources), steps=5, learned=Learned(every=2))
    model = one.equip(build(ModelSpec(family="t5"), data.tokenizer, 0), context(data))
    assert len(list(one.batches(model, context(data))(0).micro_batches())) == 4
    *_, last = one.run(model, context(data))
    assert sum(last.measured.values()) == pytest.approx(1) and len(set(last.measured.values())) == 2
    model.body.save_pretrained(tmp_path / "saved")


def test_a_run_goes_on_from_a_checkpoint_with_the_weights_that_it_had(data: Prepared, tmp_path: Path) -> None:
    recipe = Recipe(
        base=ModelSpec(family="roberta"), stages=(stage(steps=8, learned=Learned(every=2)),), task=data.task,
        finetune=Finetune(steps=2, batch_size=4),
    )  # fmt: skip
    whole = tiny.traced(recipe, data)
    stopped = tiny.traced(recipe, data, folder=tmp_path, stop_after=5, checkpoint_every_s=0.0)
    rest = tiny.traced(recipe, data, folder=tmp_path, checkpoint_every_s=0.0)
    assert whole.result and rest.result and not stopped.result
    for name in TASKS:
        assert rest.result.metrics[f"weight_{name}"] == pytest.approx(whole.result.metrics[f"weight_{name}"], rel=1e-6)
    assert rest.result.metrics["weight_helpful"] != 0.5


def test_a_fixed_mixture_has_the_key_that_it_had() -> None:
    assert "learned" not in encode(stage(learned=None), for_key=True)
    assert encode(stage(), for_key=True)["learned"] == {"rate": 1.0, "every": 4, "rows": 16}
    assert math.isfinite(Learned().rate) and replace(Learned(), rate=2.0).rate == 2.0


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"every": 0}, {"rows": 0}])
def test_numbers_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="expected a positive rate"):
        Learned(**wrong)
