"""The gradients and estimators of meta-learning, on worlds small enough to enumerate, in float64."""

from collections.abc import Sequence
from itertools import product
from unittest import mock

import pytest
import torch

from raylab.masking.learned.extractor import Extractor, ExtractorConfig, span_log_probs, span_scores
from raylab.masking.learned.meta import estimators
from raylab.masking.learned.meta.estimators import (
    covered,
    credit,
    drawn,
    gumbel,
    gumbel_noise,
    reinforce,
    straight_through,
    token_credit,
)
from raylab.masking.learned.meta.unrolled import Inner, Loss
from tests.masking.learned.toy_worlds import Kinds, Network

TOKENS = torch.tensor([[0, 1, 2, 3], [3, 1, 1, 2]])
LOGITS = (0.3, -0.2, 0.5, 0.0)
INNER = Inner(pretraining_rate=0.5, finetuning_rate=0.7)


def uniform(tokens_BT: torch.Tensor, longest: int, logits: torch.Tensor | None = None) -> torch.Tensor:
    """Log-probabilities (B, T, L) from start logits (T,), by default equal ones."""
    start_BT = torch.zeros(tokens_BT.shape, dtype=torch.float64) if logits is None else logits.expand(tokens_BT.shape)
    return span_log_probs(start_BT, torch.zeros_like(start_BT), torch.ones_like(start_BT, dtype=torch.bool), longest)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("finetuning", [1, 2])
def test_the_gradient_through_both_updates_is_that_of_finite_differences(steps: int, finetuning: int) -> None:
    world = Network([TOKENS] * steps, kinds=4)
    spans = torch.tensor([[0, 2], [1, 3]]), torch.tensor([[1, 4], [3, 4]])
    scale = {name: 0.5 + value.abs() for name, value in world.base.items()}
    inner = Inner(pretraining_rate=0.5, finetuning_rate=0.7, scale=scale)

    def outer(*weights: torch.Tensor) -> torch.Tensor:
        pretraining = [world.rows(k, *spans, weight_RT) for k, weight_RT in enumerate(weights)]
        return inner.outer_loss(world.base, pretraining, [*world.finetuning] * finetuning, world.held_out)

    weights = tuple(torch.rand(4, 4, dtype=torch.float64, requires_grad=True) for _ in range(steps))
    assert torch.autograd.gradcheck(outer, weights)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_gradient_by_a_mixed_mask_is_that_of_finite_differences(steps: int) -> None:
    world = Network([TOKENS] * steps, kinds=4)

    def outer(*hidden: torch.Tensor) -> torch.Tensor:
        return INNER.outer_loss(world.base, [world.mixed(k, h) for k, h in enumerate(hidden)], world.finetuning, world.held_out)

    hidden = tuple(torch.rand(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(steps))
    assert torch.autograd.gradcheck(outer, hidden)


def test_first_order_leaves_out_what_bends_and_nothing_else() -> None:
    """With one pretraining step, second order differs by the bending of the finetuning loss alone."""
    world = Network([TOKENS], kinds=4)
    straight: list[Loss] = [lambda params: 0.3 * torch.cat([value.flatten() for value in params.values()]).sum()]
    spans = torch.tensor([[0], [1]]), torch.tensor([[1], [3]])

    def gradient(finetuning: Sequence[Loss], second_order: bool) -> torch.Tensor:
        weight_RT = torch.ones(2, 4, dtype=torch.float64, requires_grad=True)
        inner = Inner(pretraining_rate=0.5, finetuning_rate=0.7, second_order=second_order)
        outer = inner.outer_loss(world.base, [world.rows(0, *spans, weight_RT)], finetuning, world.held_out)
        return torch.autograd.grad(outer, weight_RT)[0]

    torch.testing.assert_close(gradient(straight, True), gradient(straight, False))
    assert not torch.allclose(gradient(world.finetuning, True), gradient(world.finetuning, False), rtol=0.01)


def test_an_episode_leaves_its_base_as_it_was() -> None:
    world = Network([TOKENS], kinds=4)
    before = {name: value.clone() for name, value in world.base.items()}
    credit(world, [uniform(TOKENS, 2)], INNER, draws=2)
    for name, value in world.base.items():
        assert not value.requires_grad
        torch.testing.assert_close(value, before[name])


def test_coverage_is_that_of_every_span_on_its_own() -> None:
    choice_BTL = torch.rand(2, 5, 3, dtype=torch.float64)
    slow_BT = torch.zeros(2, 5, dtype=torch.float64)
    for t, n in product(range(5), range(3)):
        slow_BT[:, t : t + n + 1] += choice_BTL[:, t, n, None]
    fits_TL = torch.arange(5)[:, None] + torch.arange(3) < 5
    inside_BT = torch.zeros(2, 5, dtype=torch.float64)
    for t, n in product(range(5), range(3)):
        inside_BT[:, t : t + n + 1] += (choice_BTL * fits_TL)[:, t, n, None]
    torch.testing.assert_close(covered(choice_BTL * fits_TL), inside_BT)
    torch.testing.assert_close(covered(choice_BTL), slow_BT)


def test_straight_through_is_one_span_in_value_and_the_relaxed_one_in_gradient() -> None:
    logits = torch.randn(4, dtype=torch.float64, requires_grad=True)
    log_p_BTL = uniform(TOKENS, 2, logits)
    choice_BTL = straight_through(log_p_BTL, 0.7, gumbel_noise(log_p_BTL, torch.Generator().manual_seed(1)))
    assert choice_BTL.detach().flatten(1).round(decimals=9).sort().values[:, -2:].tolist() == [[0.0, 1.0]] * 2
    assert covered(choice_BTL).detach().sum(dim=1).round(decimals=9).tolist()[0] in (1.0, 2.0)
    (gradient,) = torch.autograd.grad((choice_BTL * torch.randn_like(choice_BTL)).sum(), logits)
    assert gradient.abs().min() > 0


def all_draws(draws: int, log_p_BTL: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Every outcome of so many independent draws from one passage: starts, ends (1, K), and its log-probability."""
    places = [(t, n) for t, n in product(range(log_p_BTL.shape[1]), range(log_p_BTL.shape[2])) if log_p_BTL[0, t, n] > -100]
    outcomes = []
    for outcome in product(places, repeat=draws):
        starts = torch.tensor([[t for t, _ in outcome]])
        ends = torch.tensor([[t + n + 1 for t, n in outcome]])
        outcomes.append((starts, ends, torch.stack([log_p_BTL[0, t, n] for t, n in outcome]).sum()))
    return outcomes


def expectations(rate: float, draws: int = 2, drawing: Sequence[float] = LOGITS) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of the expected outer loss by the policy's logits, LOGITS, and the expectation of the credit estimate from
    draws of the policy `drawing`."""
    world = Network([TOKENS[:1]], kinds=4, per_token=False)
    inner = Inner(pretraining_rate=rate, finetuning_rate=0.7)
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    before_BTL = uniform(TOKENS[:1], 2, torch.tensor(drawing, dtype=torch.float64))
    exact, estimated = torch.zeros_like(logits), torch.zeros_like(logits)
    for starts, ends, log_p_drawing in all_draws(draws, before_BTL):
        log_p_BTL = uniform(TOKENS[:1], 2, logits)
        probability = span_scores(log_p_BTL, starts, ends).sum().exp()
        ones_RT = torch.ones(draws, 4, dtype=torch.float64)
        outer = inner.outer_loss(world.base, [world.rows(0, starts, ends, ones_RT)], world.finetuning, world.held_out)
        exact += torch.autograd.grad(outer.detach() * probability, logits, retain_graph=True)[0]
        with mock.patch.object(estimators, "drawn", return_value=(starts, ends)):
            found = credit(world, [before_BTL], inner, draws)
        estimated += log_p_drawing.exp() * torch.autograd.grad(found.charge([log_p_BTL]), logits)[0]
    return exact, estimated


@pytest.mark.parametrize("drawing", [LOGITS, (0.0, 0.1, 0.2, -0.3)], ids=["drawing", "moved"])
def test_the_bias_of_credit_is_of_second_order_in_the_inner_step(drawing: Sequence[float]) -> None:
    """At the policy that drew, and at one that has moved since."""
    biases = []
    for rate in (0.2, 0.02):
        exact, estimated = expectations(rate, drawing=drawing)
        biases.append(float((exact - estimated).norm() / exact.norm()))
    assert biases[1] < 0.2 * biases[0], biases


def test_token_credit_is_unbiased_where_tokens_do_not_matter_to_each_other() -> None:
    """In the world of kinds with small steps: its expectation over all draws is the exact gradient."""
    tokens, inner = TOKENS[:1], Inner(pretraining_rate=1e-4, finetuning_rate=0.7)
    world = Kinds([tokens], kinds=4, asked=[1, 2])
    logits = torch.tensor([0.3, -0.2, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    exact, estimated = torch.zeros_like(logits), torch.zeros_like(logits)
    for starts, ends, log_p in all_draws(1, uniform(tokens, 2, logits)):
        loss = world.rows(0, starts, ends, torch.ones(1, 4, dtype=torch.float64))
        outer = inner.outer_loss(world.base, [loss], world.finetuning, world.held_out).detach()
        exact += torch.autograd.grad(outer * log_p.exp(), logits, retain_graph=True)[0]
        log_p_BTL = uniform(tokens, 2, logits)
        with mock.patch.object(estimators, "drawn", return_value=(starts, ends)):
            found = token_credit(world, [log_p_BTL], inner, 1)
        estimated += log_p.exp().detach() * torch.autograd.grad(found.charge([log_p_BTL]), logits)[0]
    torch.testing.assert_close(estimated, exact, rtol=1e-3, atol=1e-9)


def test_reinforce_is_unbiased() -> None:
    """The mean of many estimates lies within four standard errors of the exact gradient."""
    world, inner, tokens = Network([TOKENS[:1]], kinds=4), Inner(pretraining_rate=2.0, finetuning_rate=0.7), TOKENS[:1]
    logits = torch.tensor([0.3, -0.2, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    exact = torch.zeros_like(logits)
    for starts, ends, log_p in all_draws(1, uniform(tokens, 2, logits)):
        loss = world.rows(0, starts, ends, torch.ones(1, 4, dtype=torch.float64))
        outer = inner.outer_loss(world.base, [loss], world.finetuning, world.held_out).detach()
        exact += torch.autograd.grad(outer * log_p.exp(), logits, retain_graph=True)[0]
    generator = torch.Generator().manual_seed(0)
    log_p = [uniform(tokens, 2, logits)]
    found = torch.stack([
        torch.autograd.grad(reinforce(world, log_p, inner, 4, generator).charge(log_p), logits, retain_graph=True)[0]
        for _ in range(150)
    ])  # fmt: skip
    error = found.std(dim=0) / len(found) ** 0.5
    assert ((found.mean(dim=0) - exact).abs() < 4 * error + 1e-12).all()


@pytest.mark.parametrize("name", ["improved", "credit", "token_credit", "gumbel", "reinforce"])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_planted_kind_is_found_from_a_uniform_start(name: estimators.Name, steps: int) -> None:
    """Of six kinds of token, one alone helps; every passage has each once, in an order of its own."""
    torch.manual_seed(0)
    extractor = Extractor(ExtractorConfig(vocab_size=6, width=8, layers=1, longest=2, dropout=0.0)).double()
    torch.nn.init.zeros_(extractor.pointers.weight)
    optimizer = torch.optim.Adam(extractor.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(0)
    there_BT = torch.ones(4, 6, dtype=torch.bool)

    def passages() -> torch.Tensor:
        return torch.stack([torch.randperm(6, generator=generator) for _ in range(4)])

    def chance(tokens_BT: torch.Tensor) -> float:
        """That of a drawn span holding the kind that helps."""
        p_BTL = extractor.log_probs(tokens_BT, there_BT, there_BT).exp()
        return covered(p_BTL)[tokens_BT == 2].mean().item()

    before = chance(passages())
    for _ in range(80):
        tokens = [passages() for _ in range(steps)]
        world = Kinds(tokens, kinds=6, asked=[2])
        log_p = [extractor.log_probs(tokens_BT, there_BT, there_BT) for tokens_BT in tokens]
        found = estimators.estimate(name, world, log_p, Inner(pretraining_rate=0.2, finetuning_rate=0.1), 4, 1.0, generator)
        optimizer.zero_grad()
        found.charge(log_p).backward()
        optimizer.step()
    assert before < 0.35
    assert chance(passages()) > 0.9


def test_draws_follow_the_policy() -> None:
    logits = torch.tensor([0.0, 2.0, 0.0, 0.0], dtype=torch.float64)
    log_p_BTL = uniform(TOKENS, 2, logits)
    starts, ends = drawn(log_p_BTL, 4000, torch.Generator().manual_seed(0))
    for t, n in product(range(4), range(2)):
        share = ((starts[0] == t) & (ends[0] == t + n + 1)).double().mean()
        assert share.item() == pytest.approx(log_p_BTL[0, t, n].exp().item(), abs=0.03)


def test_gumbel_tells_the_loss_of_the_mask_that_it_drew() -> None:
    world, log_p_BTL = Network([TOKENS], kinds=4), uniform(TOKENS, 1)
    found = gumbel(world, [log_p_BTL], INNER, 1.0, torch.Generator().manual_seed(3))
    losses = []
    for a, b in product(range(4), repeat=2):
        starts = torch.tensor([[a], [b]])
        loss = world.rows(0, starts, starts + 1, torch.ones(2, 4, dtype=torch.float64))
        losses.append(INNER.outer_loss(world.base, [loss], world.finetuning, world.held_out).item())
    assert min(abs(found.outer.item() - loss) for loss in losses) < 1e-9
