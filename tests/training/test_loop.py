"""The loop: it learns, its losses don't depend on how a batch is cut, and a run out of hand ends as such."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from raylab.data.prepared import Prepared
from raylab.errors import Diverged
from raylab.models.build import build
from raylab.models.flops import CostModel
from raylab.recipe import ModelSpec
from raylab.seeds import Seeds
from raylab.training import loop
from raylab.training.batching import MicroBatch, StepBatch, pairs, step_batch
from raylab.training.checkpoint import Checkpoints
from raylab.training.loop import Training, sequence_loss, train
from raylab.training.memory import Memory
from raylab.training.optimizer import Optimization
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress
from raylab.trial import Execution, run_recipe
from tests import tiny

FLOAT = 1e-5  # relative: sums of another order, carried on over some steps


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_the_loss_falls(family: str, data: Prepared) -> None:
    losses = [loss for _, _, loss in tiny.traced(tiny.recipe(pretrain_steps=40, finetune_steps=1, family=family), data).losses]
    assert losses[0] == pytest.approx(math.log(400), rel=0.25)  # random weights guess
    assert sum(losses[35:40]) < 0.8 * sum(losses[:5])


COST = CostModel(input_weights=1, target_weights=1, width=1, layers=1)


def test_the_loss_is_nats_a_target_token(data: Prepared) -> None:
    model = build(ModelSpec(), data.tokenizer, seed=1).eval()
    labels_BU = torch.tensor([[50, 60, 2, -100], [70, 2, -100, -100]])
    batch = MicroBatch(
        input_ids_BT=torch.tensor([[9, 8], [7, 0]]), attention_BT=torch.tensor([[1, 1], [1, 0]]), labels_BU=labels_BU
    )
    before = model.config.decoder_start_token_id
    decoder_input_ids = torch.tensor([[before, 50, 60, 2], [before, 70, 2, 0]])
    logits = model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_BT, decoder_input_ids=decoder_input_ids).logits
    told = logits.log_softmax(-1)
    expected: Any = -sum(told[b, u, labels_BU[b, u]] for b, u in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)])
    assert sequence_loss(model, batch).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("micro_batch", [1, 4, 100])
def test_any_micro_batch_gives_the_same_losses(micro_batch: int, data: Prepared) -> None:
    whole, cut = (tiny.traced(tiny.recipe(micro_batch=m, learning_rate=3e-4, family="bart"), data) for m in (0, micro_batch))
    assert [loss for *_, loss in cut.losses] == pytest.approx([loss for *_, loss in whole.losses], rel=FLOAT)
    assert cut.norms == pytest.approx(whole.norms, rel=FLOAT)
    assert [p.target_tokens for p in cut.steps] == [p.target_tokens for p in whole.steps]


def test_a_run_is_the_same_twice_and_another_with_other_seeds(data: Prepared) -> None:
    first, again = (tiny.traced(tiny.recipe(dropout=0.1), data).losses for _ in range(2))
    assert first == again
    assert tiny.traced(tiny.recipe(dropout=0.1), data, seeds=Seeds.of(0, 1)).losses[0] != first[0]


def test_numbers_drawn_between_steps_change_nothing(data: Prepared) -> None:
    """What a step draws follows from the step, not from a global state."""
    events = run_recipe(tiny.recipe(dropout=0.1), Execution(data=data, seeds=tiny.SEEDS))
    disturbed = []
    for event in events:
        torch.rand(7)
        if isinstance(event, Progress):
            disturbed.append(event.loss)
    assert disturbed == [loss for *_, loss in tiny.traced(tiny.recipe(dropout=0.1), data).losses]


def test_an_exploding_run_ends_as_diverged(data: Prepared) -> None:
    with pytest.raises(Diverged, match=r"0-denoise: the loss is .* nats a token at step \d+ of 20"):
        tiny.traced(tiny.recipe(pretrain_steps=20, learning_rate=1e3), data)


@pytest.mark.parametrize("read_every", [1, 10])
def test_a_loss_that_is_no_number_ends_the_run(read_every: int, data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "READ_EVERY", read_every)
    training = Training(
        stage="s", steps=12, batches=one_batch, optimization=Optimization(), seed=0,
        loss=lambda model, batch: sequence_loss(model, batch) * math.nan,
    )  # fmt: skip
    steps: list[Progress] = []
    with pytest.raises(Diverged, match=f"nan nats a token at step {read_every} of 12"):
        steps.extend(train(build(ModelSpec(), data.tokenizer, seed=1), training, Parallel(), Checkpoints(), Memory()))


def one_batch(step: int) -> StepBatch:
    """One row of three tokens, at every step."""
    return step_batch(pairs([[9, 8]], [[9, 8]], eos=2, pad=0, max_tokens=3), Parallel(), COST, corpus_tokens=3)


def test_weights_spoilt_by_the_last_update_are_found_when_scored(data: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(math.nan)

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    with pytest.raises(Diverged, match="weights are not finite"):
        tiny.traced(replace(tiny.recipe(finetune_steps=1), stages=()), data)
