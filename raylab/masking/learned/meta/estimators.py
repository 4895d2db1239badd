"""How the gradient of the held-out loss reaches a policy that draws discrete spans: five estimators.

Letters: B passages, T positions, L longest span, K draws a passage, R = B x K rows.

- `credit`: K spans are drawn for each passage, each is a row of the inner pretraining step, and every row's loss has a weight of
  1. The derivative of the outer loss by that weight, through both updates, is the row's credit: what hiding this span instead
  of a little less of it does to the held-out questions. The policy's gradient is the score function's (REINFORCE, Williams
  1992) with the credit as the row's own reward and the mean of its passage's other draws as baseline. Where the outer loss is
  linear in the rows' weights it is unbiased; else its bias is of second order in the size of the inner step, and of order 1/R in
  how much the spans' lengths differ, for the loss is that of a target token.
- `token_credit`: the same, with a weight for each hidden token instead of each row. A token's credit is charged to the
  probability that it is hidden, by whichever span, and not to that of the one span that was drawn: less noise, as it does not
  matter where that span happened to end. Its further bias: what hiding a token does is taken for the same whatever is hidden
  beside it.
- `improved`: the credits of `credit`, but what the policy is moved towards is the better policy that they tell of, proportional
  to its own odds times exp(-cost / temperature), costs in units of their root mean square: as in maximum a posteriori policy
  optimisation (Abdolmaleki et al. 2018, arXiv 1806.06920). The loss is the cross-entropy of the K spans under it. It is no
  unbiased estimate of the outer loss's gradient; but it stays sound over many updates on the same draws, where importance
  weights soon hang on the few spans that became likely.
- `gumbel`: one span a passage by the Gumbel-softmax straight-through (Jang et al. 2017, arXiv 1611.01144): the hidden positions
  are 0 or 1 forwards and those of the relaxed choice backwards. They mix the embeddings of token and mask symbol, and weigh the
  loss. Biased, as straight-through estimators are: a visible position's derivative is that of copying it.
- `reinforce`: K whole masks of all passages, the outer loss after each as its cost, the mean of the others as baseline. Unbiased,
  without second order, and noisy: the cost of all passages is charged to each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import nn

from raylab.masking.learned.extractor import NEVER, span_scores
from raylab.masking.learned.meta.unrolled import Inner, Loss, Params

TINY = 1e-12  # a probability that is taken for none
Name = Literal["improved", "credit", "token_credit", "gumbel", "reinforce"]
Charge = Callable[[Sequence[torch.Tensor]], torch.Tensor]


class World(Protocol):
    """What an episode is made of. `step` counts the inner pretraining steps, each on passages of its own."""

    base: Params
    finetuning: Sequence[Loss]

    def held_out(self, params: Params) -> torch.Tensor:
        """The outer loss."""

    def rows(self, step: int, starts_BK: torch.Tensor, ends_BK: torch.Tensor, weight_RT: torch.Tensor) -> Loss:
        """The pretraining loss in which each row hides one of the given spans, and each position counts as its weight says."""

    def mixed(self, step: int, hidden_BT: torch.Tensor) -> Loss:
        """The pretraining loss in which `hidden_BT`, from 0 to 1, says how far each position is hidden."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """charge: a function of the policy's log-probabilities whose gradient is the estimate: at those that were drawn from, and
    from the same draws at those of a policy that has moved since, where each draw counts by how much likelier it became
    (importance weights; not for `improved`, which has a goal). scale: the root mean square of what the draws, or positions,
    are charged. outer: the held-out loss, a mean over draws."""

    charge: Charge
    scale: torch.Tensor
    outer: torch.Tensor


def estimate(
    name: Name, world: World, log_p: Sequence[torch.Tensor], inner: Inner, draws: int, temperature: float,
    generator: torch.Generator | None = None,
) -> Estimate:  # fmt: skip
    """The estimate of one episode. log_p: for each inner pretraining step the policy's log-probabilities (B, T, L)."""
    if name == "gumbel":
        return gumbel(world, log_p, inner, temperature, generator)
    if name == "improved":
        return improved(world, log_p, inner, draws, temperature, generator)
    return {"credit": credit, "token_credit": token_credit, "reinforce": reinforce}[name](world, log_p, inner, draws, generator)


def credit(
    world: World, log_p: Sequence[torch.Tensor], inner: Inner, draws: int, generator: torch.Generator | None = None
) -> Estimate:
    """`draws` spans of each passage, each answering for what its own row does."""
    spans, credits, outer = _credited(world, log_p, inner, draws, generator)
    costs = [advantage(credit_RT.sum(dim=1).view_as(starts)) for credit_RT, (starts, _) in zip(credits, spans, strict=True)]
    before = [span_scores(p, *chosen).detach() for p, chosen in zip(log_p, spans, strict=True)]

    def charge(now: Sequence[torch.Tensor]) -> torch.Tensor:
        ratios = [(span_scores(p, *chosen) - old).exp() for p, chosen, old in zip(now, spans, before, strict=True)]
        return _inner_product(costs, ratios)

    return Estimate(charge=charge, scale=_root_mean_square(costs), outer=outer)


def improved(
    world: World, log_p: Sequence[torch.Tensor], inner: Inner, draws: int, temperature: float,
    generator: torch.Generator | None = None,
) -> Estimate:  # fmt: skip
    """`draws` spans of each passage, and how likely a better policy would have made each of them."""
    spans, credits, outer = _credited(world, log_p, inner, draws, generator)
    costs = [credit_RT.sum(dim=1).view_as(starts) for credit_RT, (starts, _) in zip(credits, spans, strict=True)]
    unit = temperature * _root_mean_square([advantage(cost_BK) for cost_BK in costs]).clamp_min(TINY)
    goals = [-(-cost_BK / unit).softmax(dim=1) for cost_BK in costs]

    def charge(now: Sequence[torch.Tensor]) -> torch.Tensor:
        return _inner_product(goals, [span_scores(p, *chosen) for p, chosen in zip(now, spans, strict=True)])

    return Estimate(charge=charge, scale=outer.new_ones(()), outer=outer)


def token_credit(
    world: World, log_p: Sequence[torch.Tensor], inner: Inner, draws: int, generator: torch.Generator | None = None
) -> Estimate:
    """`draws` spans of each passage, each hidden token answering for what it does."""
    _, credits, outer = _credited(world, log_p, inner, draws, generator)
    costs = [credit_RT.view(len(p), draws, -1).sum(dim=1) for credit_RT, p in zip(credits, log_p, strict=True)]
    before = [covered(p.exp()).clamp_min(TINY).detach() for p in log_p]

    def charge(now: Sequence[torch.Tensor]) -> torch.Tensor:
        return _inner_product(costs, [covered(p.exp()) / old for p, old in zip(now, before, strict=True)])

    return Estimate(charge=charge, scale=_root_mean_square(costs), outer=outer)


def _credited(
    world: World, log_p: Sequence[torch.Tensor], inner: Inner, draws: int, generator: torch.Generator | None
) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], tuple[torch.Tensor, ...], torch.Tensor]:
    """For each inner pretraining step the spans drawn, (B, K) each, and the credit of each position of each row, (R, T), which is
    zero where nothing is hidden; the outer loss."""
    spans = [drawn(log_p_BTL, draws, generator) for log_p_BTL in log_p]
    weights = [_equal(log_p_BTL, draws).requires_grad_() for log_p_BTL in log_p]
    steps = [world.rows(k, *spans[k], weight_RT) for k, weight_RT in enumerate(weights)]
    outer = inner.outer_loss(world.base, steps, world.finetuning, world.held_out)
    return spans, torch.autograd.grad(outer, weights), outer.detach()


def _equal(log_p_BTL: torch.Tensor, draws: int) -> torch.Tensor:
    passages, length = log_p_BTL.shape[:2]
    return log_p_BTL.new_ones(passages * draws, length)


def reinforce(
    world: World, log_p: Sequence[torch.Tensor], inner: Inner, draws: int, generator: torch.Generator | None = None
) -> Estimate:
    """`draws` masks, each answering for the whole outer loss."""
    masks = [[drawn(log_p_BTL, 1, generator) for log_p_BTL in log_p] for _ in range(draws)]
    outer = []
    for spans in masks:
        steps = [world.rows(k, *chosen, _equal(log_p[k], 1)) for k, chosen in enumerate(spans)]
        outer.append(inner.outer_loss(world.base, steps, world.finetuning, world.held_out, differentiable=False).detach())
    outer_1K = torch.stack(outer)[None]
    cost_K = advantage(outer_1K)[0] / draws

    def scores(at: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack([
            torch.cat([span_scores(p, *chosen) for p, chosen in zip(at, spans, strict=True)]).sum() for spans in masks
        ])  # fmt: skip

    before_K = scores(log_p).detach()

    def charge(now: Sequence[torch.Tensor]) -> torch.Tensor:
        return (cost_K * (scores(now) - before_K).exp()).sum()

    return Estimate(charge=charge, scale=_root_mean_square([cost_K]), outer=outer_1K.mean())


def gumbel(
    world: World, log_p: Sequence[torch.Tensor], inner: Inner, temperature: float, generator: torch.Generator | None = None
) -> Estimate:
    """One relaxed span a passage, through which the outer loss is differentiated."""
    noise = [gumbel_noise(p, generator) for p in log_p]

    def hidden(at: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [covered(straight_through(p, temperature, own)) for p, own in zip(at, noise, strict=True)]

    chosen = [hidden_BT.detach().requires_grad_() for hidden_BT in hidden(log_p)]
    steps = [world.mixed(k, hidden_BT) for k, hidden_BT in enumerate(chosen)]
    outer = inner.outer_loss(world.base, steps, world.finetuning, world.held_out)
    slopes = torch.autograd.grad(outer, chosen)
    return Estimate(charge=lambda now: _inner_product(slopes, hidden(now)), scale=_root_mean_square(slopes), outer=outer.detach())


def _inner_product(costs: Sequence[torch.Tensor], amounts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([(cost * amount).sum() for cost, amount in zip(costs, amounts, strict=True)]).sum()


def _root_mean_square(costs: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat([cost.flatten() for cost in costs]).square().mean().sqrt()


def advantage(cost_BK: torch.Tensor) -> torch.Tensor:
    """Each draw's cost less the mean of its row's others, which do not depend on it."""
    draws = cost_BK.shape[1]
    return (cost_BK - cost_BK.mean(dim=1, keepdim=True)) * (draws / (draws - 1))


def drawn(log_p_BTL: torch.Tensor, draws: int, generator: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Independent draws: first token and one past the last, (B, K) each."""
    longest = log_p_BTL.shape[2]
    index_BK = torch.multinomial(log_p_BTL.detach().flatten(1).exp(), draws, replacement=True, generator=generator)
    starts_BK = index_BK // longest
    return starts_BK, starts_BK + index_BK % longest + 1


def gumbel_noise(log_p_BTL: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """What is added to log-probabilities so that the greatest is a draw, (B, T, L)."""
    uniform = torch.rand(log_p_BTL.shape, generator=generator, dtype=log_p_BTL.dtype, device=log_p_BTL.device)
    return -torch.log(-torch.log(uniform.clamp(1e-12, 1 - 1e-7)))


def straight_through(log_p_BTL: torch.Tensor, temperature: float, noise_BTL: torch.Tensor) -> torch.Tensor:
    """One span a passage, (B, T, L): one-hot in value, with the gradient of the relaxed choice."""
    noisy_BTL = log_p_BTL + noise_BTL
    relaxed_BTL = (noisy_BTL / temperature).flatten(1).softmax(dim=-1).view_as(log_p_BTL)
    hard = nn.functional.one_hot(
        noisy_BTL.masked_fill(log_p_BTL <= NEVER / 2, NEVER).flatten(1).argmax(dim=-1), relaxed_BTL[0].numel()
    )
    return hard.view_as(log_p_BTL).to(relaxed_BTL) - relaxed_BTL.detach() + relaxed_BTL


def covered(choice_BTL: torch.Tensor) -> torch.Tensor:
    """How far each position is hidden, (B, T), if span (t, n) is chosen as far as `choice_BTL` says."""
    length, longest = choice_BTL.shape[1:]
    begun_BT = choice_BTL.sum(dim=2)
    ended = [nn.functional.pad(choice_BTL[:, : length - n - 1, n], (n + 1, 0)) for n in range(min(longest, length - 1))]
    return (begun_BT - sum(ended, torch.zeros_like(begun_BT))).cumsum(dim=1)
