"""A model's own training inside an episode, written as a function of its parameters, so that gradients flow through it.

    theta' = theta - rate * scale * gradient of the inner loss,    step after step, then the outer loss at the end

As in MAML (Finn et al. 2017, arXiv 1703.03400), but the outer variable is not theta: it enters through the pretraining losses,
which depend on the masking policy. `scale` is a fixed diagonal preconditioner, so that an inner step is one of the size that
Adam takes: plain gradient descent leaves rare tokens' embeddings, where facts are kept, almost where they were.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Params = Mapping[str, torch.Tensor]
Loss = Callable[[Params], torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    """How the inner steps are taken. scale: by parameter name, of its shape; None for plain gradient descent.

    second_order: with False each inner gradient counts as a constant in the parameters (not in the mask): what the mask does
    to the parameters is kept, what the parameters do to later gradients is left out.
    """

    pretraining_rate: float
    finetuning_rate: float
    scale: Params | None = None
    second_order: bool = True

    def outer_loss(
        self,
        base: Params,
        pretraining: Sequence[Loss],
        finetuning: Sequence[Loss],
        held_out: Loss,
        *,
        differentiable: bool = True,
    ) -> torch.Tensor:
        """The held-out loss after one step on each of the losses in turn, from `base`, which stays as it is.

        differentiable: whether its gradient with respect to what `pretraining` depends on will be asked for.
        """
        params: Params = {name: value.detach().requires_grad_() for name, value in base.items()}
        for loss in pretraining:
            params = self._step(params, loss, self.pretraining_rate, graph=differentiable)
        for loss in finetuning:
            params = self._step(params, loss, self.finetuning_rate, graph=differentiable and self.second_order)
        return held_out(params)

    def _step(self, params: Params, loss: Loss, rate: float, *, graph: bool) -> Params:
        at = params if self.second_order else {name: value.detach().requires_grad_() for name, value in params.items()}
        gradients = torch.autograd.grad(loss(at), list(at.values()), create_graph=graph, materialize_grads=True)
        scale = self.scale
        return {
            name: value - rate * (gradient if scale is None else scale[name] * gradient)
            for (name, value), gradient in zip(params.items(), gradients, strict=True)
        }
