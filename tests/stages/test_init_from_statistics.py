"""Initialisation from statistics as a stage: its source, what it refuses, and a run that begins with it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.models.build import build
from raylab.models.statistics import measured
from raylab.recipe import ModelSpec
from raylab.stages.init_from_statistics import ITSELF, InitFromStatistics
from raylab.training.context import Context
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def saved(folder: Path, data: Prepared, **spec: Any) -> str:
    build(ModelSpec(**spec), data.tokenizer, 7).save_pretrained(folder)
    return str(folder)


def test_a_run_begins_with_it(data: Prepared, tmp_path: Path) -> None:
    stage = InitFromStatistics(source=saved(tmp_path / "source", data), grouping="whole_model", form="scale")
    recipe = tiny.recipe(pretrain_steps=2, finetune_steps=2)
    first, again = (tiny.traced(replace(recipe, stages=(stage, *recipe.stages)), data) for _ in range(2))
    plain = tiny.traced(recipe, data)
    assert first.losses == again.losses != plain.losses
    assert len(first.steps) == len(plain.steps)


def test_it_takes_no_step(data: Prepared) -> None:
    context = Context(data=data, seeds=tiny.SEEDS)
    model = build(ModelSpec(), data.tokenizer, 0)
    stage = InitFromStatistics(grouping="constant_norm", constant=0.2)
    assert list(stage.reads(context)) == list(stage.run(model, context)) == []
    assert bool((model.state_dict()["encoder.block.1.layer.0.layer_norm.weight"] == 0.2).all())


def test_of_the_whole_model_another_depth_will_do(data: Prepared, tmp_path: Path) -> None:
    source = saved(tmp_path / "deep", data, layers=3)
    model, before = (build(ModelSpec(), data.tokenizer, 0) for _ in range(2))
    list(InitFromStatistics(source=source, grouping="whole_model").run(model, Context(data=data, seeds=tiny.SEEDS)))
    name = "encoder.block.1.layer.0.SelfAttention.q.weight"
    assert not torch.equal(model.state_dict()[name], before.state_dict()[name])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            {"family": "bart"},
            r"is a mbart model, no t5 one: it has nothing for shared\.weight, encoder\.block\.0\.\S+, .* and \d+ more\. Take",
        ),
        ({"layers": 1}, r"has nothing for encoder\.block\.1\.\S+, .* more; take a source of as many layers"),
    ],
)
def test_another_architecture_is_told_with_what_does_not_match(
    source: dict[str, Any], told: str, data: Prepared, tmp_path: Path
) -> None:
    stage = InitFromStatistics(source=saved(tmp_path / "source", data, **source))
    with pytest.raises(UserError, match=told) as raised:
        list(stage.run(build(ModelSpec(), data.tokenizer, 0), Context(data=data, seeds=tiny.SEEDS)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "the source of the statistics is None; expected a checkpoint to measure"),
        ({"source": "x", "grouping": "constant_norm"}, "is 'x'; expected none, as nothing is measured"),
        ({"grouping": "constant_norm", "constant": 0.0}, "constant is 0.0; expected a positive number"),
    ],
)
def test_settings_that_do_not_go_together_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        InitFromStatistics(**settings)


def test_a_model_is_drawn_anew_from_its_own_statistics(data: Prepared) -> None:
    """What was trained is gone but for its moments; embeddings are those from before the training."""
    context = Context(data=data, seeds=tiny.SEEDS)
    begun = build(ModelSpec(), data.tokenizer, tiny.SEEDS.init)
    trained = copy.deepcopy(begun)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(3.0).add_(0.01)
    expected = measured(trained, "parameter")
    list(InitFromStatistics(source=ITSELF).run(trained, context))
    assert torch.equal(trained.get_input_embeddings().weight, begun.get_input_embeddings().weight)
    found = measured(trained, "parameter")
    for name, moments in expected.items():
        assert found[name].std == pytest.approx(moments.std, rel=0.35, abs=1e-3), name
