"""Replaced token detection: what the generator puts in, what is asked of the body, and that the body learns it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from raylab.data import atlas
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.errors import UserError
from raylab.masking.corrupt import IGNORED
from raylab.masking.policies.uniform import Uniform
from raylab.models.build import build
from raylab.models.replaced import Detection, detection_loss, filled, judged, sampled
from raylab.recipe import ModelSpec
from raylab.stages.denoise import Denoise
from raylab.stages.discriminate import Discriminate, _Batches
from raylab.training.batching import StepBatch
from raylab.training.context import Context
from raylab.training.optimizer import Optimization
from tests import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Real prose: the atlas."""
    return prepare(atlas.load(), "atlas", Preparation(vocab_size=1900, max_tokens=64), tmp_path_factory.mktemp("atlas"))


def begun(data: Prepared, **settings: Any) -> tuple[Discriminate, Detection, _Batches, Context]:
    stage = Discriminate(**{"policy": Uniform(), "batch_size": 4, **settings})
    context = Context(data=data, seeds=tiny.SEEDS, stage="0-discriminate")
    pair = stage.pair(build(ModelSpec(family="roberta"), data.tokenizer, 0), context)
    return stage, pair, _Batches(stage, pair, context), context


def told(pair: Detection, batch: StepBatch) -> tuple[np.ndarray, np.ndarray]:
    """Of every token of a batch: whether it is replaced, and whether the body says so."""
    (micro,) = batch.micro_batches()
    replaced_N, said_N = judged(pair, micro)
    return replaced_N.numpy(), said_N.numpy()


def test_it_beats_the_majority_class_and_chance(text: Prepared) -> None:
    """On passages that it has read, hidden anew: most tokens are original, which one could always say."""
    stage, pair, batches, context = begun(
        text, corpus_share=0.02, batch_size=16, budget_tokens=120_000, optimization=Optimization(learning_rate=2e-3)
    )
    losses = [p.loss for p in stage.train(pair, context) if p.loss is not None]
    chance = np.log(len(text.tokenizer)) + stage.weight * np.log(2)
    assert np.mean(losses[-3:]) < 0.6 * chance
    answers = [told(pair.eval(), batches(stage.steps(context) + step)) for step in range(1, 9)]
    replaced, said = (np.concatenate(column) for column in zip(*answers, strict=True))
    assert (replaced == said).mean() > 1 - replaced.mean() + 0.02


def test_what_is_hidden_is_filled_in_and_nothing_else_is_touched(data: Prepared) -> None:
    _, _, batches, context = begun(data)
    (micro,) = batches(0).micro_batches()
    asked_BU = micro.labels_BU != IGNORED
    originals_N = micro.labels_BU[asked_BU]
    given_N = originals_N.clone()
    given_N[0] += 1
    ids_BT, replaced_BT = filled(micro, asked_BU, given_N)
    assert replaced_BT.sum() == 1, "what the generator gets right is original"
    assert int((ids_BT != micro.input_ids_BT).sum()) == int(asked_BU.sum())
    assert context.data.symbols.mask not in ids_BT


def test_samples_follow_the_distribution() -> None:
    probabilities_V = torch.tensor([0.1, 0.0, 0.6, 0.3])
    draws_N = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    tokens_N = sampled(probabilities_V.log().expand(len(draws_N), -1), draws_N)
    shares_V = torch.bincount(tokens_N, minlength=4) / len(draws_N)
    assert torch.allclose(shares_V, probabilities_V, atol=0.015)
    ends_N2 = sampled(torch.zeros(2, 5), torch.tensor([0.0, 1.0 - 2**-24]))
    assert ends_N2.tolist() == [0, 4]


def test_it_shares_embeddings_with_a_generator_that_is_left_behind(data: Prepared) -> None:
    stage, _, _, context = begun(data, budget_tokens=300)
    model = build(ModelSpec(family="roberta"), data.tokenizer, 0)
    names = set(dict(model.named_parameters()))
    pair = stage.pair(model, context)
    vocabulary = [tuple(p.shape) for p in pair.parameters() if p.ndim == 2 and len(data.tokenizer) in p.shape]
    assert vocabulary == [(400, 96)], "one matrix for both"
    assert pair.generator.encoder.config.hidden_size == 32 < model.config.hidden_size
    list(stage.run(model, context))
    assert set(dict(model.named_parameters())) == names


def test_it_costs_what_torch_counts(data: Prepared) -> None:
    _, pair, batches, _ = begun(data)
    for model in (pair.body, pair.generator.encoder):
        model.set_attn_implementation("eager")  # the counter does not see into fused attention
    batch = batches(0)
    lengths = batch.own.attention_BT.sum(axis=1)
    with FlopCounterMode(display=False) as counter:
        for micro in batch.micro_batches(1):  # row by row, without padding
            detection_loss(pair, micro).backward()
    assert len(lengths) == 4
    assert batch.flops == pytest.approx(counter.get_total_flops(), rel=0.02)  # a mean of lengths stands for them in attention


def test_an_encoder_learns_what_is_hidden(data: Prepared) -> None:
    """Twelve passages read over and over: far below the loss of a uniform guess."""
    stage = Denoise(
        policy=Uniform(random_share=0.1, keep_share=0.1), target="tokens", batch_size=12, budget_tokens=60 * 12 * 38,
        optimization=Optimization(learning_rate=3e-3),
    )  # fmt: skip
    for family in ("roberta", "lstm"):
        model = build(ModelSpec(family=family), data.tokenizer, 0)
        losses = [p.loss for p in stage.run(model, Context(data=data, seeds=tiny.SEEDS, stage="s")) if p.loss is not None]
        assert losses[-1] < 0.7 * np.log(len(data.tokenizer)), family


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator_share": 0.0}, "generator_share is 0.0; expected a share of the width"),
        ({"weight": -1.0}, "weight is -1.0; expected a positive number"),
        ({"budget_tokens": 0}, "budget_tokens is 0; expected a positive number"),
    ],
)
def test_settings_out_of_range_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(Discriminate(policy=Uniform()), **settings)


def test_the_generator_follows_from_the_seed(data: Prepared, tmp_path: Path) -> None:
    _, first, *_ = begun(data)
    _, again, *_ = begun(data)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
