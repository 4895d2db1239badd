"""Pre-finetuning on a mixture: loss scaling, proportions and R3F against their formulas."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import softmax

from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.mixture import robust
from raylab.mixture.robust import robust_loss, symmetric_kl
from raylab.models.build import build
from raylab.models.headed import Headed, Pointwise, with_head
from raylab.recipe import ModelSpec, Recipe, digest, encode
from raylab.stages.finetune import Finetune
from raylab.stages.pre_finetune import PreFinetune
from raylab.training.batching import to_device
from raylab.training.context import Context
from raylab.training.optimizer import Optimization
from raylab.training.parallel import Parallel
from tests import tiny
from tests.families import invented

SOURCES = ("regression", "multiple_choice", "span", "tagging")
NAMES = tuple(f"invented_{family}" for family in SOURCES)
QUICK = Optimization(learning_rate=3e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    sources = {digest(family): invented.task(family) for family in SOURCES}
    how = Preparation(vocab_size=400, max_tokens=32)
    return prepare(invented.task("classification"), "target", how, tmp_path_factory.mktemp("mixture"), sources=sources)


def stage(**settings: Any) -> PreFinetune:
    return PreFinetune(**{"tasks": NAMES, "steps": 6, "batch_size": 16, "part_rows": 4, "optimization": QUICK, **settings})


def context(data: Prepared, **settings: Any) -> Context:
    return Context(data=data, seeds=tiny.SEEDS, stage="0-pre_finetune", **settings)


def model_of(stage: PreFinetune, data: Prepared, family: Any = "roberta") -> torch.nn.Module:
    equipped: torch.nn.Module = stage.equip(build(ModelSpec(family=family), data.tokenizer, 0), context(data))
    return equipped.eval()


def test_sources_share_the_targets_tokenizer(data: Prepared) -> None:
    assert set(data.sources) == set(NAMES)
    assert all(source.tokenizer is data.tokenizer for source in data.sources.values())


@pytest.mark.parametrize("scaling", [True, False])
@torch.no_grad()
def test_a_step_is_the_mean_over_parts_of_their_scaled_mean_losses(scaling: bool, data: Prepared) -> None:
    mixture = stage(loss_scaling=scaling)
    model, batches = model_of(mixture, data), mixture.batches(model_of(mixture, data), context(data))
    objectives = mixture.objectives(data)
    chosen = {"invented_regression": 0.5, "invented_multiple_choice": math.log(3), "invented_tagging": math.log(3)}
    for step in range(4):
        batch = batches(step)
        ours = sum(mixture._loss(objectives, model, micro) for micro in batch.micro_batches()) / batch.target_tokens
        parts = []
        for part in batches.draw(step):  # type: ignore[attr-defined]
            objective = objectives[part.task]
            own = objective.batch(part.rows.tolist())
            loss = objective.loss(model, to_device(own, slice(None), torch.device("cpu"))) / (own.labels_BU != -100).sum()
            n = chosen.get(objective.data.task, objective.uniform_loss())
            parts.append(float(loss) / (n if scaling else 1.0))
        assert float(ours) == pytest.approx(np.mean(parts), rel=1e-4)


def test_proportions_by_size_and_given_ones(data: Prepared) -> None:
    sizes = {name: len(data.sources[name].splits["train"]) for name in NAMES}
    natural = stage(steps=500).batches(model_of(stage(), data), context(data)).draw.weights  # type: ignore[attr-defined]
    assert natural == pytest.approx([sizes[name] / sum(sizes.values()) for name in NAMES])
    given = stage(weights=(0.0, 3.0, 1.0, 0.0)).batches(model_of(stage(), data), context(data)).draw.weights  # type: ignore[attr-defined]
    assert given == pytest.approx([0, 0.75, 0.25, 0])


def test_the_symmetric_divergence_is_the_formula() -> None:
    ones, others = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    p, q = softmax(ones, 1), softmax(others, 1)
    expected = (p * (p / q).log() + q * (q / p).log()).sum()
    assert float(symmetric_kl(ones, others)) == pytest.approx(float(expected), rel=1e-9)
    assert float(symmetric_kl(ones, ones)) == pytest.approx(0, abs=1e-12)
    ones[:, 2], others[:, 2] = -math.inf, -math.inf  # a choice that is not there
    kept = [0, 1, 3, 4, 5, 6]
    assert float(symmetric_kl(ones, others)) == pytest.approx(float(symmetric_kl(ones[:, kept], others[:, kept])), rel=1e-9)


@pytest.mark.parametrize("family", SOURCES)
def test_robustness_is_the_divergence_under_noise(family: str, data: Prepared) -> None:
    mixture = stage(tasks=(f"invented_{family}",))
    model, (objective,) = model_of(mixture, data), mixture.objectives(data)
    micro = to_device(objective.batch([0, 1, 2, 3]), slice(None), torch.device("cpu"))
    for noise, size in (("uniform", 0.3), ("normal", 0.1)):
        torch.manual_seed(5)
        loss = robust_loss(objective, model, micro, size=size, noise=noise)  # type: ignore[arg-type]
        if family == "regression":
            assert float(loss) == 0
            continue
        assert float(loss.detach()) > 0
        torch.manual_seed(5)
        clean = robust.embedded(model.body, micro.input_ids_BT.flatten(0, -2)).detach()  # type: ignore[arg-type]
        drawn = torch.rand_like(clean) * 2 - 1 if noise == "uniform" else torch.randn_like(clean)
        p, q = (softmax(objective.logits(model, micro, e), 1).clamp(min=1e-30) for e in (clean, clean + size * drawn))  # type: ignore[arg-type]
        there = p > 1e-20
        assert float(loss.detach()) == pytest.approx(float((((p - q) * (p / q).log())[there]).sum().detach()), rel=1e-3)


def test_a_loss_with_robustness_is_the_sum(data: Prepared) -> None:
    plain, robust_one = stage(tasks=NAMES[1:]), stage(tasks=NAMES[1:], robustness=0.7, noise_size=0.2)
    model, objectives = model_of(plain, data), plain.objectives(data)
    (micro, *_) = plain.batches(model, context(data))(0).micro_batches()
    base = plain._loss(objectives, model, micro)  # type: ignore[arg-type]
    torch.manual_seed(1)
    with_noise = robust_one._loss(objectives, model, micro)  # type: ignore[arg-type]
    torch.manual_seed(1)
    extra = robust_loss(objectives[micro.task], model, micro, size=0.2, noise="uniform")  # type: ignore[attr-defined]
    expected = 0.7 * micro.weight * float(extra.detach())  # type: ignore[attr-defined]
    assert float((with_noise - base).detach()) == pytest.approx(expected, rel=1e-3)


@torch.no_grad()
def test_workers_share_every_part(data: Prepared) -> None:
    mixture = stage(batch_size=12, part_rows=6)
    model, objectives = model_of(mixture, data), mixture.objectives(data)

    def losses(parallel: Parallel) -> float:
        batch = mixture.batches(model, context(data, parallel=parallel))(2)
        return float(sum(mixture._loss(objectives, model, micro) for micro in batch.micro_batches(2)) / batch.target_tokens)

    alone = losses(Parallel())
    assert sum(losses(Parallel(rank=rank, world=2)) for rank in range(2)) == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("family", ["roberta", "t5"])
def test_it_learns_and_the_target_is_finetuned_after_it(family: Any, data: Prepared, tmp_path: Path) -> None:
    mixture = stage(steps=60, part_rows=8)
    finetune = Finetune(steps=4, batch_size=8, optimization=QUICK)
    recipe = Recipe(base=ModelSpec(family=family), stages=(mixture,), task=data.task, finetune=finetune)
    whole = tiny.traced(recipe, data, folder=tmp_path / "a", checkpoint_every_s=0.0)
    losses = [loss for name, _, loss in whole.losses if name == "0-pre_finetune"]
    assert losses[-1] < 0.7  # in units of a uniform guess
    tiny.traced(recipe, data, folder=tmp_path / "b", checkpoint_every_s=0.0, stop_after=61)
    resumed = tiny.traced(recipe, data, folder=tmp_path / "b", checkpoint_every_s=0.0)
    assert whole.result is not None and resumed.result is not None
    assert {k: v for k, v in tiny.numbers(resumed.result).items() if "/" in k} == {
        k: v for k, v in tiny.numbers(whole.result).items() if "/" in k
    }


def test_a_head_is_reused_only_if_that_is_asked_for(data: Prepared) -> None:
    mixture = stage(tasks=(data.task,))
    model = model_of(mixture, data)
    trained = model.heads[data.task]  # type: ignore[index, union-attr]
    assert Finetune(reuse_head=True).equip(model, context(data)).heads[data.task] is trained  # type: ignore[union-attr, index]
    assert Finetune().equip(model, context(data)).heads[data.task] is not trained  # type: ignore[union-attr, index]


def test_one_head_for_all_of_a_family_that_shares_it(data: Prepared) -> None:
    heads = set(model_of(stage(), data).heads)  # type: ignore[arg-type]
    assert heads == {"invented_regression", "multiple_choice", "span", "invented_tagging"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tasks": ()}, "a mixture has no task"),
        ({"tasks": ("a", "a")}, "'a' stands twice in the mixture"),
        ({"weights": (1.0,)}, "has 4 tasks and 1 weights"),
        ({"weights": (1.0, -1.0, 1.0, 1.0)}, "the weight of invented_multiple_choice is -1"),
        ({"weights": (0.0, 0.0, 0.0, 0.0)}, "sum to 0"),
        ({"part_rows": 17}, "17 of a task together; expected positive numbers, and no more of a task than in a batch"),
    ],
)
def test_mixtures_that_cannot_be(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        stage(**settings)


def test_a_task_that_was_not_prepared(data: Prepared) -> None:
    with pytest.raises(UserError, match="unknown task of the mixture 'invented_regresion'"):
        stage(tasks=("invented_regresion",)).objectives(data)


def test_two_tasks_of_one_name(tmp_path: Path) -> None:
    task = invented.task("classification")
    with pytest.raises(UserError, match="two tasks are named 'invented_classification', which would share a head"):
        prepare(task, "target", Preparation(), tmp_path, sources={"x": replace(task)})


def _bounded(heads: bool, data: Prepared) -> Any:
    return model_of(stage(tasks=NAMES[1:], bounded_heads=heads), data)


def test_bounded_heads_stretch_nothing(data: Prepared, tmp_path: Path) -> None:
    """The last layer divided by its largest singular value, in what it says and in its gradient; also once it is saved."""
    free, bounded = _bounded(False, data), _bounded(True, data)
    for name in bounded.heads:
        head, states = bounded.head(name), torch.randn(7, bounded.head(name).out.in_features)
        largest = torch.linalg.svdvals(head.out.weight.detach())[0]
        expected = states @ (head.out.weight / largest).T + head.out.bias
        torch.testing.assert_close(head.said(states), expected)
        torch.testing.assert_close(free.head(name).out.weight, head.out.weight)
        assert not torch.allclose(free.head(name).said(states), expected)
    bounded.save_pretrained(tmp_path / "saved")
    again = Headed.from_pretrained(tmp_path / "saved", build(ModelSpec(family="roberta"), data.tokenizer, 1))
    assert all(again.head(name).bounded for name in bounded.heads)
    assert stage().bounded_heads is False and "bounded_heads" not in encode(stage(), for_key=True)


def test_a_head_that_does_not_fit_is_told(data: Prepared) -> None:
    """A folder may have the name of the head that all tasks of a family share."""
    model = model_of(stage(tasks=("invented_span",)), data)
    with pytest.raises(UserError, match="head 'span' of 2 outputs, which belongs to another kind of task; expected one of 2"):
        with_head(model, "span", 2, "full", 0)
    with pytest.raises(UserError, match="expected one of 5"):
        with_head(model, "span", 5, "full", 0, Pointwise)


@pytest.mark.parametrize("name", ["reviews.v2", "items", "train"])
def test_a_task_may_have_any_name(name: str, tmp_path: Path) -> None:
    named = replace(invented.task("classification"), name=name)
    data = prepare(invented.task("regression"), "target", Preparation(vocab_size=400), tmp_path, sources={"named": named})
    model = model_of(stage(tasks=(name,)), data)
    assert len(model.heads) == 1 and not {"reviews.v2", "items", "train"} & set(model.heads)  # type: ignore[arg-type, operator]
