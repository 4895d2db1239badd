"""Weights drawn anew from the means and deviations of another model's: which, in what groups, and never the embeddings."""

from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from raylab.errors import UserError
from raylab.models.build import build
from raylab.models.statistics import Moments, measured, redraw, set_norms
from raylab.recipe import ModelSpec
from tests.models.test_build import encoder
from tests.models.test_encoder_decoder import Vocabulary

FAMILIES = ("t5", "bart", "roberta", "lstm")
GROUPINGS: tuple[Any, ...] = ("parameter", "whole_model", "layer", "role")


def source(family: Any) -> PreTrainedModel:
    """A model whose parameters all have means and deviations of their own."""
    model = build(ModelSpec(family=family), Vocabulary(300), 3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.1 + 0.01 * i) + 0.05 * i)
    return model


def target(family: Any) -> PreTrainedModel:
    return build(ModelSpec(family=family), Vocabulary(300), 4)


def values(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_what_is_drawn_has_the_moments_of_its_group(family: Any, grouping: Any) -> None:
    of_source = measured(source(family), grouping)
    model = target(family)
    redraw(model, of_source, grouping, "mean_std", seed=0)
    for group, moments in measured(model, grouping).items():
        assert moments.std == pytest.approx(of_source[group].std, rel=0.5), group
        assert moments.mean == pytest.approx(of_source[group].mean, abs=0.5 * of_source[group].std), group


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_embeddings_stay_and_all_else_changes(family: Any, grouping: Any) -> None:
    model = target(family)
    before = values(model)
    redraw(model, measured(source(family), grouping), grouping, "mean_std", seed=0)
    changed = {name for name, value in values(model).items() if not torch.equal(value, before[name])}
    kept = before.keys() - changed
    assert all("embed" in name or "shared" in name or name in ("lm_head.bias", "decoder.bias") for name in kept), kept
    assert not any(torch.equal(before[name], model.get_input_embeddings().weight) for name in changed)


def test_groupings_are_those_of_the_paper() -> None:
    """T5's parameters: 12 products in a layer of the encoder with its relative positions once a stack."""
    model = source("t5")
    groups = {grouping: set(measured(model, grouping)) for grouping in GROUPINGS}
    assert groups["whole_model"] == {"products", "norms", "relative positions"}
    in_layers = {g for g in groups["layer"] if not g.startswith("outside")}
    assert in_layers - {"encoder.block.0, relative positions", "decoder.block.0, relative positions"} == {
        f"{stack}.block.{layer}, {kind}" for stack in ("encoder", "decoder") for layer in (0, 1) for kind in ("products", "norms")
    }
    assert "encoder.block.*.layer.0.SelfAttention.q.weight" in groups["role"]
    norms = {f"encoder.block.{n}.layer.0.layer_norm.weight" for n in (0, 1)}
    norms |= {f"decoder.block.{n}.layer.{k}.layer_norm.weight" for n in (0, 1) for k in (0, 1)}
    assert set(measured(model, "pre_attention_norm")) == norms


def test_the_moments_of_a_group_are_those_of_all_its_numbers() -> None:
    model = source("t5")
    queries = [values(model)[f"encoder.block.{n}.layer.0.SelfAttention.q.weight"].flatten() for n in (0, 1)]
    found = measured(model, "role")["encoder.block.*.layer.0.SelfAttention.q.weight"]
    assert found.mean == pytest.approx(torch.cat(queries).mean().item(), abs=1e-6)
    assert found.std == pytest.approx(torch.cat(queries).std(correction=0).item(), rel=1e-5)


def test_a_scale_keeps_no_mean_but_that_of_norms() -> None:
    model, of_source = target("t5"), measured(source("t5"), "whole_model")
    redraw(model, of_source, "whole_model", "scale", seed=0)
    found = measured(model, "whole_model")
    assert (found["norms"].mean, found["norms"].std) == (pytest.approx(of_source["norms"].mean), pytest.approx(0, abs=1e-6))
    assert found["products"].mean == pytest.approx(0, abs=0.01 * of_source["products"].std)
    assert found["products"].std == pytest.approx(of_source["products"].std, rel=0.01)


@pytest.mark.parametrize(("family", "norms"), [("t5", 6), ("bart", 6), ("roberta", 2)])
def test_a_constant_for_the_norms_before_attention(family: Any, norms: int) -> None:
    model = target(family)
    before = values(model)
    set_norms(model, 0.4)
    changed = {name: value for name, value in values(model).items() if not torch.equal(value, before[name])}
    assert len(changed) == norms
    assert all((value == 0.4).all() for value in changed.values())


def test_the_seed_and_a_parameters_name_decide_what_is_drawn() -> None:
    drawn = []
    for seed in (1, 1, 2):
        model = target("roberta")
        redraw(model, measured(source("roberta"), "whole_model"), "whole_model", "mean_std", seed)
        drawn.append(values(model))
    first, again, other = drawn
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_norms_behind_attention_are_none_before_it() -> None:
    with pytest.raises(UserError, match="no norm before attention is known of a bert model; expected one of t5"):
        measured(encoder("Bert"), "pre_attention_norm")


def test_what_a_source_lacks_is_named() -> None:
    moments = {"norms": Moments(mean=1.0, std=0.1)}
    with pytest.raises(UserError, match="has nothing for products, products, products and"):
        redraw(target("t5"), moments, "whole_model", "mean_std", seed=0)
