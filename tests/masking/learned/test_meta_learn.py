"""Meta-learning on the smallest data there are: what it yields, refuses, leaves out, resumes and shares among workers."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from raylab.data.prepared import Prepared
from raylab.errors import Diverged, UserError
from raylab.masking.learned import card as cards
from raylab.masking.learned.extractor import Extractor
from raylab.masking.learned.meta import learn, source
from raylab.masking.learned.meta.config import Meta
from raylab.masking.learned.meta.estimators import Estimate, estimate
from raylab.masking.learned.scoring import Reading
from raylab.recipe import ModelSpec, decode
from raylab.training.checkpoint import Checkpoints
from raylab.training.progress import Progress
from tests import tiny
from tests.masking.learned.meta_workers import SMALL, learned, worker


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


def run(config: Meta, data: Prepared, **more: Any) -> tuple[list[Progress], Extractor, cards.Card]:
    learning, told = config.learn(data, 0, **more), []
    while True:
        try:
            told.append(next(learning))
        except StopIteration as end:
            return told, *end.value


def policy_steps(told: list[Progress]) -> list[Progress]:
    return [progress for progress in told if progress.stage == "policy"]


def test_a_card_comes_out_and_is_read_back(data: Prepared, tmp_path: Path) -> None:
    told, extractor, card = run(SMALL, data)
    assert [progress.step for progress in policy_steps(told)] == [1, 2, 3]
    assert card.how == "meta"
    assert card.learned_on["questions"] == 18
    assert card.cost["tokens"] == sum(progress.corpus_tokens for progress in told) > 0
    assert card.cost["flops"] == pytest.approx(sum(progress.flops for progress in told))
    assert decode(Meta, dict(card.recipe)) == SMALL
    cards.save(tmp_path / "card", extractor, card, data.tokenizer)
    read, _ = cards.load(tmp_path / "card")
    batch = Reading.of(data.corpus.tokenised()).batch([0, 1])
    torch.testing.assert_close(read.log_probs(*batch), extractor.log_probs(*batch))


def test_without_a_step_it_is_the_uniform_policy(data: Prepared) -> None:
    told, extractor, _ = run(replace(SMALL, steps=0), data)
    assert not told
    p_BTL = extractor.log_probs(*Reading.of(data.corpus.tokenised()).batch([0])).exp()
    chances = p_BTL[p_BTL > 0]
    assert chances.min() == pytest.approx(chances.max().item())


@pytest.mark.parametrize(
    "change",
    [
        {"estimator": "credit"},
        {"estimator": "token_credit"},
        {"estimator": "gumbel"},
        {"estimator": "reinforce"},
        {"second_order": False},
        {"inner_pretraining": 2, "inner_finetuning": 2},
        {"dropout": 0.3, "kind": "transformer"},
        {"base": ModelSpec(family="t5")},
        {"base": ModelSpec(family="t5"), "estimator": "gumbel"},
    ],
    ids=str,
)
def test_every_kind_of_episode_moves_the_policy_and_is_repeated_exactly(change: dict[str, Any], data: Prepared) -> None:
    config = replace(SMALL, **change, steps=1, episodes=1)
    first, again = learned(config, data), learned(config, data)
    untaught = learn.uniform_start(config, len(data.tokenizer), 0)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, again.state_dict()[name], rtol=0, atol=0)
    assert not torch.equal(first.pointers.weight, untaught.pointers.weight)


def test_it_begins_from_a_policy_that_is_there(data: Prepared) -> None:
    start = Extractor(SMALL.extractor(len(data.tokenizer)))
    begun = start.embeddings.weight.detach().clone()
    _, extractor, card = run(replace(SMALL, steps=1, updates=1, start="supervised-card"), data, start=start)
    assert (extractor.embeddings.weight - begun).abs().max() < 2 * SMALL.optimization.learning_rate, "one step of Adam away"
    assert card.recipe["start"] == "supervised-card"


def test_two_workers_learn_what_one_learns(data: Prepared, tmp_path: Path) -> None:
    alone = learned(SMALL, data).state_dict()
    torch.multiprocessing.spawn(worker, (2, str(data.folder), str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, value in alone.items():
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
        if name != "pointers.bias":  # it moves all spans alike: its gradient is rounding, which Adam makes a step of
            torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-4)


def test_a_learning_that_was_stopped_goes_on(data: Prepared, tmp_path: Path) -> None:
    straight = learned(SMALL, data)
    learning = SMALL.learn(data, 0, checkpoints=Checkpoints(tmp_path, every_s=0.0))
    while next(learning).stage != "policy":
        pass
    next(learning)  # the first step's checkpoint is written as the second is asked for
    learning.close()
    resumed = learned(SMALL, data, checkpoints=Checkpoints(tmp_path, every_s=3600.0))
    for name, value in resumed.state_dict().items():
        torch.testing.assert_close(value, straight.state_dict()[name])


class Spoilt:
    """Estimates of which some are no numbers."""

    def __init__(self, *spoilt: int) -> None:
        self.spoilt, self.asked = spoilt, 0

    def __call__(self, *arguments: Any) -> Estimate:
        found, number = estimate(*arguments), self.asked
        self.asked += 1
        return replace(found, charge=lambda log_p: found.charge(log_p) * math.inf) if number in self.spoilt else found


def test_an_episode_without_a_finite_gradient_is_left_out_and_counted(data: Prepared) -> None:
    config = replace(SMALL, episodes=1, skipped=0.4)
    with mock.patch.object(source, "estimate", Spoilt(1)):
        _, extractor, card = run(config, data)
    assert all(torch.isfinite(value).all() for value in extractor.state_dict().values())
    assert card.notes == ("1 of 3 episodes had no finite gradient and were left out",)


def test_too_many_of_them_end_it_as_diverged(data: Prepared) -> None:
    config = replace(SMALL, episodes=1, skipped=0.4)
    with mock.patch.object(source, "estimate", Spoilt(0, 1)), pytest.raises(Diverged, match="not finite in 2 of 2 episodes"):
        run(config, data)


def test_what_it_learns_from_is_of_the_train_split_alone(data: Prepared) -> None:
    """Dev and test questions may be anything: they decide nothing but the card's evidence."""
    other = {**data.splits, "dev": (), "test": ()}
    alone = learned(SMALL, data)
    with mock.patch.dict(data.__dict__, {"splits": other}):
        without = learned(SMALL, data)
    for name, value in without.state_dict().items():
        torch.testing.assert_close(value, alone.state_dict()[name], rtol=0, atol=0)


def test_questions_that_are_held_out_support_no_inner_model(data: Prepared) -> None:
    found = learn.pairs_of(SMALL, data, data.corpus.tokenised(), "train")
    folds = learn.folds_of(found, SMALL, "invented", 0)
    asked = [{pair.question for pair in fold} for fold in folds]
    assert asked[0] and asked[1] and not asked[0] & asked[1]
    assert asked[0] | asked[1] == {int(q) for q in np.unique([pair.question for pair in found.asked])}


def test_too_few_passages_with_answers_are_one_line(data: Prepared) -> None:
    with pytest.raises(UserError, match=r"of 18 train questions of 'invented', 18 have an answer .* expected at least 200 "):
        run(replace(SMALL, questions=100), data)


def test_an_encoder_cannot_be_the_inner_model(data: Prepared) -> None:
    with pytest.raises(UserError, match="needs an encoder-decoder"):
        run(replace(SMALL, base=ModelSpec(family="roberta")), data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("questions", 0),
        ("steps", -1),
        ("draws", 1),
        ("inner_pretraining", 99),
        ("pretraining_rate", 0.0),
        ("skipped", 1.0),
        ("folds", 1),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(field: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"{value:g}|folds"):
        Meta(**{field: value})  # type: ignore[arg-type]
