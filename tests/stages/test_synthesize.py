"""Synthetic pretraining: what it reads, what it asks, and what it says of the model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.seeds import Seeds
from raylab.stages.synthesize import HELD_OUT_ROWS, Synthesize, _Batches, token_accuracy
from raylab.synthetic.task import SyntheticTask
from raylab.synthetic.tasks.first_token import FirstToken
from raylab.synthetic.tasks.reverse import Reverse
from raylab.training.context import Context
from raylab.training.optimizer import Optimization
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def context(data: Prepared) -> Context:
    return Context(data=data, seeds=tiny.SEEDS, stage="0-synthesize")


def synthesize(**settings: Any) -> Synthesize:
    return Synthesize(**{"task": Reverse(), "batch_size": 8, **settings})


def model_for(context: Context, **spec: Any) -> nn.Module:
    return build(ModelSpec(**spec), context.data.tokenizer, 0)


def batches(stage: Synthesize, context: Context) -> _Batches:
    return _Batches(stage, model_for(context), context)


def rows(draw: _Batches, step: int) -> list[tuple[list[int], list[int]]]:
    """Inputs and outputs of a step, without padding."""
    (micro,) = draw(step).micro_batches()
    told = zip(micro.input_ids_BT, micro.attention_BT, micro.labels_BU, strict=True)
    return [(ids[there].tolist(), labels[labels != -100].tolist()) for ids, there, labels in told]


def test_the_name_and_the_sequence_in_the_output_out_each_with_its_end(context: Context) -> None:
    tokenizer = context.data.tokenizer
    prefix = [*tokenizer("reverse", add_special_tokens=False)["input_ids"], context.data.symbols.sentinels[0]]
    for source, target in rows(batches(synthesize(), context), 0):
        assert source[: len(prefix)] == prefix
        assert source[-1] == target[-1] == tokenizer.eos_token_id
        assert source[len(prefix) : -1] == target[:-1][::-1]
        assert 10 <= len(target) - 1 <= 27  # the paper's 10 to 220 of 512, with 64


@pytest.mark.parametrize("name", SyntheticTask.registry.names())
def test_every_task_fits_the_smallest_data(name: str, context: Context) -> None:
    for source, target in rows(batches(synthesize(task=SyntheticTask.registry.get(name)(), batch_size=64), context), 0):
        assert max(len(source), len(target)) <= context.data.max_tokens + 1


@pytest.mark.parametrize("budget", [1, 5_000, 40_000])
def test_the_budget_is_what_it_reads(budget: int, context: Context) -> None:
    read = synthesize(budget_tokens=budget).reads(context)
    assert budget * 0.95 <= sum(read) <= budget * 1.05 + 8 * 40


def test_a_step_is_the_same_in_any_order_and_another_with_another_seed(context: Context) -> None:
    forwards, backwards = batches(synthesize(), context), batches(synthesize(), context)
    drawn = [rows(forwards, step) for step in range(4)]
    assert [rows(backwards, step) for step in reversed(range(4))] == drawn[::-1]
    assert len({str(one) for one in drawn}) == 4
    assert rows(batches(synthesize(), replace(context, seeds=Seeds.of(0, 1))), 0) != drawn[0]


def test_held_out_examples_are_no_step_s(context: Context) -> None:
    draw = batches(synthesize(), context)
    held_out = [m.input_ids_BT for m in draw.held_out().micro_batches()]
    assert sum(map(len, held_out)) == HELD_OUT_ROWS
    read = {str(source[:-1]) for step in range(50) for source, _ in rows(draw, step)}
    assert not read & {str([t for t in row.tolist() if t != 0][:-1]) for ids in held_out for row in ids}


def test_sequences_of_few_symbols(context: Context) -> None:
    draw = batches(synthesize(symbols=5, batch_size=64), context)
    assert len({token for _, target in rows(draw, 0) for token in target[:-1]}) == 5


def test_it_learns_and_says_how_well_at_the_end(context: Context) -> None:
    """The first of a few tokens is soon found; the share of right tokens stands with the last step alone."""
    stage = synthesize(
        task=FirstToken(), budget_tokens=20_000, symbols=4, shortest=4, longest=5, batch_size=32,
        optimization=Optimization(learning_rate=4e-3),
    )  # fmt: skip
    model = model_for(context)
    held_out = batches(stage, context).held_out()
    before = token_accuracy(model, held_out, context)
    steps = list(stage.run(model, context))
    assert [bool(p.measured) for p in steps] == [False] * (len(steps) - 1) + [True]
    accuracy = steps[-1].measured["synthetic_token_accuracy"]
    assert accuracy == pytest.approx(token_accuracy(model, held_out, context))
    assert before < 0.1 and accuracy > 0.6  # one token of two is the end symbol, and one a guess among four
    assert steps[-1].loss is not None and steps[-1].loss < np.log(4) / 2


def test_accuracy_counts_what_a_model_says(context: Context) -> None:
    """Of a model that says the end symbol, whatever is asked: one token of each output."""
    eos, stage = context.data.tokenizer.eos_token_id, synthesize(task=FirstToken())

    class Ending(nn.Module):
        config = model_for(context).config

        def forward(self, *, decoder_input_ids: torch.Tensor, **rest: Any) -> Any:
            self.logits = nn.functional.one_hot(torch.full_like(decoder_input_ids, eos), len(context.data.tokenizer)).float()
            return self

        def parameters(self, recurse: bool = True) -> Any:
            return iter(())

    assert token_accuracy(Ending(), batches(stage, context).held_out(), context) == 0.5


def test_the_accuracy_is_a_metric_of_the_run(data: Prepared) -> None:
    recipe = replace(tiny.recipe(finetune_steps=1), stages=(synthesize(budget_tokens=600),))
    result = tiny.traced(recipe, data).result
    assert result is not None
    assert 0 <= result.metrics["synthetic_token_accuracy"] <= 1
    assert result.metrics["tokens"] == sum(recipe.stages[0].reads(Context(data=data, seeds=tiny.SEEDS)))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"budget_tokens": 0}, "budget_tokens is 0 and batch_size 8; expected positive numbers"),
        ({"batch_size": 0}, "budget_tokens is 300000 and batch_size 0; expected positive numbers"),
        ({"longest": -1}, "symbols is 0, shortest 0, longest -1; expected positive numbers"),
    ],
)
def test_settings_out_of_range_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        synthesize(**settings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"symbols": 9999}, "symbols is 9999; this tokenizer has"),
        ({"longest": 64}, "reverse: payloads of up to 64 tokens make"),
        ({"longest": 3}, "payloads of 3 to 3 tokens for a model of 64: expected at least 4"),
        ({"shortest": 30}, "payloads of 30 to 27 tokens for a model of 64"),
    ],
)
def test_what_the_data_cannot_hold_is_told(settings: dict[str, Any], told: str, context: Context) -> None:
    with pytest.raises(UserError, match=told):
        batches(synthesize(**settings), context)(0)


def test_a_model_without_a_decoder_is_told(context: Context) -> None:
    with pytest.raises(
        UserError, match="the stage synthesize has a model write the outputs of 'reverse'; this one has no decoder"
    ):
        synthesize().batches(model_for(context, family="roberta"), context)
