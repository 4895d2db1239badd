"""Inner worlds small enough to enumerate: what an episode asks of a model, without one.

Letters: V kinds of token, B passages, T positions, K draws, R = B x K rows, H width.
"""

from collections.abc import Sequence

import torch

from raylab.masking.learned.meta.unrolled import Loss, Params


class Kinds:
    """A number for each kind of token. Hiding a token pulls its kind's number towards 1; the held-out questions ask for the
    numbers of the kinds in `asked` alone, and finetuning pulls all of them towards 1 a little."""

    def __init__(self, tokens: Sequence[torch.Tensor], kinds: int, asked: Sequence[int]) -> None:
        self.tokens, self.asked = tokens, list(asked)
        self.base: Params = {"known": torch.zeros(kinds, dtype=torch.float64)}
        self.finetuning: Sequence[Loss] = [lambda params: 0.1 * ((params["known"] - 1) ** 2).mean()]

    def held_out(self, params: Params) -> torch.Tensor:
        return ((params["known"][self.asked] - 1) ** 2).mean()

    def rows(self, step: int, starts_BK: torch.Tensor, ends_BK: torch.Tensor, weight_RT: torch.Tensor) -> Loss:
        hidden_RT = inside(starts_BK, ends_BK, self.tokens[step].shape[1])
        tokens_RT = self.tokens[step].repeat_interleave(starts_BK.shape[1], dim=0)

        def loss(params: Params) -> torch.Tensor:
            return (weight_RT * hidden_RT * (params["known"][tokens_RT] - 1) ** 2).sum() / len(weight_RT)

        return loss

    def mixed(self, step: int, hidden_BT: torch.Tensor) -> Loss:
        tokens_BT = self.tokens[step]
        return lambda params: (hidden_BT * (params["known"][tokens_BT] - 1) ** 2).sum() / len(tokens_BT)


class Network:
    """A network of one hidden layer that guesses the hidden tokens of a passage from the sum of the others; all of its losses
    bend in all of its parameters, so that no term of a second-order gradient is zero. per_token: the loss is that of a hidden
    token, else of a row."""

    def __init__(self, tokens: Sequence[torch.Tensor], kinds: int, width: int = 3, *, per_token: bool = True) -> None:
        self.tokens, self.kinds, self.per_token = tokens, kinds, per_token
        generator = torch.Generator().manual_seed(0)

        def drawn(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.base: Params = {"into": drawn(kinds, width), "out": drawn(width, kinds)}
        asked = drawn(3, kinds), drawn(3, kinds)
        self.finetuning: Sequence[Loss] = [lambda params: self._nats(params, asked[0], torch.tensor([0, 1, 2])).mean()]
        self._question = asked[1]

    def held_out(self, params: Params) -> torch.Tensor:
        return self._nats(params, self._question, torch.tensor([2, 1, 0])).mean()

    def rows(self, step: int, starts_BK: torch.Tensor, ends_BK: torch.Tensor, weight_RT: torch.Tensor) -> Loss:
        hidden_RT = inside(starts_BK, ends_BK, self.tokens[step].shape[1])
        tokens_RT = self.tokens[step].repeat_interleave(starts_BK.shape[1], dim=0)

        def loss(params: Params) -> torch.Tensor:
            counted = (weight_RT * hidden_RT).sum() if self.per_token else len(weight_RT)
            return (weight_RT * self._masked(params, tokens_RT, hidden_RT)).sum() / counted

        return loss

    def mixed(self, step: int, hidden_BT: torch.Tensor) -> Loss:
        return lambda params: self._masked(params, self.tokens[step], hidden_BT).sum() / hidden_BT.sum()

    def _masked(self, params: Params, tokens_RT: torch.Tensor, hidden_RT: torch.Tensor) -> torch.Tensor:
        one_hot_RTV = torch.nn.functional.one_hot(tokens_RT, self.kinds).to(torch.float64)
        seen_RV = ((1 - hidden_RT)[..., None] * one_hot_RTV).sum(dim=1)
        log_p_RV = self._log_p(params, seen_RV)
        return -hidden_RT * log_p_RV.gather(1, tokens_RT)

    def _nats(self, params: Params, seen_RV: torch.Tensor, answer_R: torch.Tensor) -> torch.Tensor:
        return -self._log_p(params, seen_RV).gather(1, answer_R[:, None])[:, 0]

    @staticmethod
    def _log_p(params: Params, seen_RV: torch.Tensor) -> torch.Tensor:
        return (torch.tanh(seen_RV @ params["into"]) @ params["out"]).log_softmax(dim=-1)


def inside(starts_BK: torch.Tensor, ends_BK: torch.Tensor, length: int) -> torch.Tensor:
    """1 inside the span of each row, (R, T)."""
    place_T = torch.arange(length)
    starts_R1, ends_R1 = starts_BK.flatten()[:, None], ends_BK.flatten()[:, None]
    return ((place_T >= starts_R1) & (place_T < ends_R1)).to(torch.float64)
