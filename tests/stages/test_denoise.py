"""Intermediate pretraining: the budget it reads, the passages it uses, and what it asks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.policies.salient import Salient
from raylab.masking.policies.span import Span
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.recipe import ModelSpec
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise, _Batches
from raylab.training.context import Context
from raylab.training.loop import StepBatch
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def context(data: Prepared) -> Context:
    return Context(data=data, seeds=tiny.SEEDS, stage="0-denoise")


def denoise(**settings: Any) -> Denoise:
    return Denoise(**{"policy": Uniform(), "batch_size": 4, **settings})


def batches(stage: Denoise, context: Context) -> _Batches:
    return _Batches(stage, build(ModelSpec(), context.data.tokenizer, 0), context)


def same(one: StepBatch, other: StepBatch) -> bool:
    pairs = zip(one.micro_batches(), other.micro_batches(), strict=True)
    return all(np.array_equal(a.input_ids_BT, b.input_ids_BT) and np.array_equal(a.labels_BU, b.labels_BU) for a, b in pairs)


@pytest.mark.parametrize("budget", [1, 500, 5_000])
def test_the_budget_is_what_it_reads(budget: int, context: Context) -> None:
    """In whole batches, over whole epochs: within a batch of the budget, never short of it by more than chance."""
    stage = denoise(budget_tokens=budget)
    draw, steps = batches(stage, context), stage.steps(context)
    read = sum(draw(step).corpus_tokens for step in range(steps))
    assert budget * 0.97 <= read <= budget + 4 * 45


def test_a_budget_counts_tokens_before_masking(context: Context) -> None:
    """So that policies and targets are compared at equal reading."""
    stages = [denoise(policy=p, target=t) for p in (Uniform(), Span(rate=0.5), Salient()) for t in ("spans", "sentence")]
    assert len({stage.steps(context) for stage in stages}) == 1
    assert len({batches(stage, context)(3).corpus_tokens for stage in stages}) == 1


def test_a_step_is_the_same_in_any_order(context: Context) -> None:
    stage = denoise(policy=Span(), budget_tokens=2_000)
    forwards, backwards = batches(stage, context), batches(stage, context)
    drawn = [forwards(step) for step in range(8)]
    assert all(same(backwards(step), drawn[step]) for step in reversed(range(8)))
    assert not same(drawn[0], drawn[3])
    other = replace(context, seeds=replace(tiny.SEEDS, mask=1))
    assert not same(batches(stage, other)(0), drawn[0])


def test_recipes_of_a_replicate_read_the_same_passages(context: Context) -> None:
    def rows(seeds: Seeds, **settings: Any) -> list[list[int]]:
        drawn = batches(denoise(**settings), replace(context, seeds=seeds))
        return [drawn.reading.rows_P[drawn.reading.order.rows(step)].tolist() for step in range(6)]

    assert rows(tiny.SEEDS, policy=Uniform()) == rows(tiny.SEEDS, policy=Salient(), target="sentence")
    assert rows(tiny.SEEDS) != rows(Seeds.of(0, 1))


def test_a_share_of_the_corpus_is_a_part_of_a_larger_share(context: Context) -> None:
    quarter, half, whole = (set(denoise(corpus_share=s)._rows(context).tolist()) for s in (0.25, 0.5, 1.0))
    assert quarter < half < whole == set(range(12))
    assert (len(quarter), len(half)) == (3, 6)
    assert len(denoise(corpus_share=0.001)._rows(context)) == 1


def test_a_corpus_smaller_than_a_batch_is_told_before_anything_is_read(context: Context) -> None:
    stage = denoise(batch_size=13)
    for begin in (stage.reads, stage.steps):
        with pytest.raises(UserError, match=r"has 12 passages, which do not fill one batch of 13\. .*--set batch_size=12"):
            begin(context)


@pytest.mark.parametrize("target", ["spans", "sentence"])
def test_what_is_asked_and_what_is_read(target: Any, context: Context) -> None:
    tokenizer = context.data.tokenizer
    (micro,) = batches(denoise(policy=Salient(), target=target), context)(0).micro_batches()
    texts = context.data.corpus.texts()
    for ids, labels in zip(micro.input_ids_BT, micro.labels_BU, strict=True):
        said = tokenizer.decode(labels[labels != -100], skip_special_tokens=True).strip()
        shown = tokenizer.decode(ids, skip_special_tokens=True).strip()
        title = shown.split(":")[0]
        (text,) = (t for t in texts if t.startswith(f"{title}:"))
        assert said in text
        assert (said.removeprefix(f"{title}: ") == text.removeprefix(f"{title}: ")) == (target == "sentence")
        assert len(shown) < len(text)


def test_passages_in_which_nothing_is_hidden_are_left_out_but_count_as_read(context: Context) -> None:
    full, some = (batches(denoise(policy=Uniform(rate=rate), batch_size=12), context)(0) for rate in (0.5, 0.02))
    assert len(next(full.micro_batches()).input_ids_BT) == 12
    assert 0 < len(next(some.micro_batches()).input_ids_BT) < 12
    assert some.corpus_tokens == full.corpus_tokens


def test_micro_batches_hold_as_many_rows_as_asked(context: Context) -> None:
    step = batches(denoise(micro_batch=3, policy=Uniform(rate=0.5)), context)(0)
    assert [len(micro.input_ids_BT) for micro in step.micro_batches()] == [3, 1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"budget_tokens": 0}, "budget_tokens is 0; expected a positive number of corpus tokens"),
        ({"corpus_share": 0.0}, "corpus_share is 0.0; expected a fraction above 0"),
        ({"corpus_share": 1.5}, "corpus_share is 1.5; expected a fraction above 0"),
        ({"batch_size": 0}, "batch_size is 0; expected a positive number of passages"),
    ],
)
def test_settings_out_of_range_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        denoise(**settings)
