"""What every family of tasks keeps to: a new one is tested because it is there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raylab.data.family import Family, family_of
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.models.build import build
from raylab.models.flops import CostModel
from raylab.recipe import ModelSpec, Recipe, digest
from raylab.stages.finetune import Finetune
from raylab.training.batching import step_batch, to_device
from raylab.training.context import Context
from raylab.training.evaluation import score
from raylab.training.memory import Memory
from raylab.training.objective import Objective, objective_of
from raylab.training.optimizer import Optimization
from raylab.training.parallel import Parallel
from tests import tiny
from tests.families import invented

FAMILIES = Objective.registry.names()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


def prepared(family: str, storage: Path, max_tokens: int = 32) -> Prepared:
    return prepare(invented.task(family), digest(family), Preparation(vocab_size=400, max_tokens=max_tokens), storage)


def base(family: str) -> ModelSpec:
    return ModelSpec(family="t5" if objective_class(family).writes else "roberta")


def objective_class(family: str) -> type[Objective]:
    found: type[Objective] = Objective.registry.get(family)
    return found


def equipped(family: str, data: Prepared, mode: Any = "full") -> torch.nn.Module:
    torch.manual_seed(0)
    return objective_of(data).equip(build(base(family), data.tokenizer, 0), mode, 1)


def test_every_family_is_read_and_learned() -> None:
    assert Family.registry.names() == FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_it_gives_the_measures_that_its_data_side_names(family: str, storage: Path) -> None:
    data = prepared(family, storage)
    scores = score(equipped(family, data), data.splits["dev"], data, Parallel(), Memory())
    assert next(iter(scores)) == next(iter(family_of(family).measures))
    assert set(scores) == set(family_of(family).measures)
    assert {len(values) for values in scores.values()} == {len(data.splits["dev"])}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_does_not_depend_on_what_it_is_scored_beside(family: str, storage: Path, monkeypatch: Any) -> None:
    data = prepared(family, storage)
    model, examples = equipped(family, data), data.splits["train"]
    together = score(model, examples, data, Parallel(), Memory())
    monkeypatch.setattr("raylab.training.evaluation.BATCH", 5)
    backwards = score(model, examples[::-1], data, Parallel(), Memory())
    for measure, values in together.items():
        assert backwards[measure][::-1] == pytest.approx(values, rel=1e-4, abs=1e-5), measure


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loss_is_a_sum_over_rows(family: str, storage: Path) -> None:
    """Whatever else is in the batch and however it is cut: what makes workers and micro-batches change nothing."""
    data = prepared(family, storage)
    objective, model = objective_of(data), equipped(family, data).eval()
    batch = objective.batch(list(range(12)))
    with torch.no_grad():
        whole = objective.loss(model, to_device(batch, slice(None), torch.device("cpu")))
        parts = [objective.loss(model, to_device(batch, slice(i, i + 5), torch.device("cpu"))) for i in range(0, 12, 5)]
    assert float(whole) == pytest.approx(sum(map(float, parts)), rel=1e-4)
    assert float(whole) > 0


@pytest.mark.parametrize("max_tokens", [32, 12])
@pytest.mark.parametrize("family", FAMILIES)
def test_lengths_are_those_of_its_inputs(family: str, max_tokens: int, storage: Path) -> None:
    """They are counted without building any, also where texts are cut. The end of a written text is not counted, nor its cut."""
    objective = objective_of(prepared(family, storage, max_tokens))
    held = [int(objective.batch([row]).attention_BT.sum()) for row in range(len(objective.data.splits["train"]))]
    lengths = np.asarray(objective.lengths())
    assert (np.minimum(lengths + 1, max_tokens + 1) if objective.writes else lengths).tolist() == held


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_without_a_label_cost_nothing(family: str, storage: Path) -> None:
    data = prepared(family, storage)
    objective, model = objective_of(data), equipped(family, data)
    batch = objective.batch([0, 1])
    unasked = replace(batch, labels_BU=np.full_like(batch.labels_BU, -100))
    loss = objective.loss(model, to_device(unasked, slice(None), torch.device("cpu")))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_its_task(family: str, storage: Path) -> None:
    """Better than an untrained model by a margin, on examples it did not see; the loss falls below that of a uniform guess."""
    data = prepared(family, storage)
    finetune = Finetune(steps=80, batch_size=16, optimization=Optimization(learning_rate=3e-3, warmup=0.1, decay=0.5))
    recipe = Recipe(base=base(family), stages=(), task=data.task, finetune=finetune)
    trace = tiny.traced(recipe, data, splits=("test",))
    assert trace.result is not None
    assert trace.losses[-1][2] < 0.5 * objective_of(data).uniform_loss()
    before = score(equipped(family, data), data.splits["test"], data, Parallel(), Memory())
    measure, higher = next(iter(family_of(family).measures.items()))
    gain = trace.result.metrics[f"test_{measure}"] - float(np.mean(before[measure]))
    assert (gain if higher else -gain) > 0.25


@pytest.mark.parametrize("family", [f for f in FAMILIES if not objective_class(f).writes])
def test_frozen_features_train_the_head_alone(family: str, storage: Path) -> None:
    data = prepared(family, storage)
    model = equipped(family, data, "frozen")
    body = {name: weight.clone() for name, weight in model.body.named_parameters()}  # type: ignore[union-attr, operator]
    finetune = Finetune(steps=4, batch_size=8, mode="frozen")
    list(finetune.run(model, Context(data=data, seeds=tiny.SEEDS)))
    assert all(torch.equal(weight, body[name]) for name, weight in model.body.named_parameters())  # type: ignore[union-attr, operator]
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"heads", "mixes"}


@pytest.mark.parametrize("family", [f for f in FAMILIES if objective_class(f).writes])
def test_what_needs_a_decoder_says_so(family: str, storage: Path) -> None:
    data = prepared(family, storage)
    encoder = build(ModelSpec(family="roberta"), data.tokenizer, 0)
    with pytest.raises(UserError, match=r"which a .* model does not write\. Take an encoder-decoder"):
        objective_of(data).equip(encoder, "full", 0)
    with pytest.raises(UserError, match="no head that could be trained on frozen features"):
        objective_of(data).equip(build(ModelSpec(), data.tokenizer, 0), "frozen", 0)


@pytest.mark.parametrize("family", [f for f in FAMILIES if not objective_class(f).writes])
@pytest.mark.parametrize("body", ["t5", "bart", "roberta", "lstm"])
def test_heads_stand_on_any_body(family: str, body: Any, storage: Path, tmp_path: Path) -> None:
    data = prepared(family, storage)
    objective = objective_of(data)
    model = objective.equip(build(ModelSpec(family=body), data.tokenizer, 0), "full", 1)
    batch = step_batch(objective.batch([0, 1, 2]), Parallel(), CostModel.of(model), 0)
    (micro,) = batch.micro_batches()
    objective.loss(model, micro).backward()  # type: ignore[no-untyped-call]
    assert batch.flops > 0 and all(p.grad is not None for p in model.heads.parameters())  # type: ignore[union-attr]
    model.save_pretrained(tmp_path)  # type: ignore[operator]
    assert (tmp_path / "heads.safetensors").is_file() and (tmp_path / "config.json").is_file()
