"""A model with heads: a body of transformers, and what tasks set upon its hidden states."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from raylab.errors import UserError
from raylab.models.scalar_mix import ScalarMix
from raylab.models.states import all_states, encoder_states, states_of, width_of
from raylab.training.batching import MicroBatch

HEADS = "heads.safetensors"  # beside the body's own files, with heads.json


class Head(nn.Module):
    """bounded: its last layer's weights count divided by their spectral norm, so that no input is stretched by more than 1 (R4F,
    Aghajanyan et al. 2020): the norm itself, not a running estimate of it, so that it does not depend on what was read before."""

    out: nn.Linear
    dropout: nn.Dropout
    bounded: bool = False

    def said(self, states: torch.Tensor) -> torch.Tensor:
        """The outputs for hidden states (..., width)."""
        weight = self.out.weight / torch.linalg.matrix_norm(self.out.weight, 2) if self.bounded else self.out.weight
        return linear(self.dropout(states), weight, self.out.bias)


class Classifier(Head):
    """The mean of the hidden states, a layer of tanh, one number a class (RoBERTa's classification head, on the mean)."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dense, self.out, self.dropout = nn.Linear(width, width), nn.Linear(width, outputs), nn.Dropout(dropout)

    def forward(self, states_BTH: torch.Tensor, attention_BT: torch.Tensor) -> torch.Tensor:
        """Logits (B, outputs) from hidden states; padding is left out of the mean."""
        there_BT1 = attention_BT.to(states_BTH.dtype).unsqueeze(-1)
        mean_BH = (states_BTH * there_BT1).sum(1) / there_BT1.sum(1).clamp(min=1)
        return self.said(torch.tanh(self.dense(self.dropout(mean_BH))))


class Pointwise(Head):
    """Numbers for every token, from its hidden state alone."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.out, self.dropout = nn.Linear(width, outputs), nn.Dropout(dropout)

    def forward(self, states_BTH: torch.Tensor, attention_BT: torch.Tensor) -> torch.Tensor:
        """(B, T, outputs); what stands at padding means nothing."""
        return self.said(states_BTH)


class Headed(nn.Module):
    """`body` and its `heads`, by the name of the task. A frozen body gives features and is not trained: a learned mix of all of
    its layers (Peters et al. 2019), without dropout."""

    def __init__(self, body: PreTrainedModel) -> None:
        super().__init__()
        self.body = body
        self.heads, self.mixes = nn.ModuleDict(), nn.ModuleDict()
        self.frozen = self.left = False

    @property
    def config(self) -> Any:
        """The body's."""
        return self.body.config

    def head(self, task: str) -> Head:
        """The head of that name."""
        head = self.heads[task]
        assert isinstance(head, Head)
        return head

    def train(self, mode: bool = True) -> "Headed":
        """As every module; a frozen body stays without dropout."""
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self

    def freeze(self, task: str, layers: int) -> None:
        """Train the task's head and its mix of layers alone from now on."""
        self.frozen = True
        self.body.requires_grad_(False)
        self.mixes[task] = ScalarMix(layers)

    @contextmanager
    def as_it_is(self) -> Iterator[None]:
        """Meanwhile what is learned of answers leaves the body as it is: no gradient goes there."""
        self.left = True
        try:
            yield
        finally:
            self.left = False

    def answer(self, task: str, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        """What the task's head says of a batch: (B, outputs), or (B, T, outputs) of a head for tokens.
        embeddings_BTH: read in place of the tokens' own."""
        inputs = (self.body, batch.input_ids_BT, batch.attention_BT, batch.segments_BT, embeddings_BTH)
        if self.frozen:
            with torch.no_grad():
                layers = all_states(*inputs)
            states_BTH = self.mixes[task](layers)
        else:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.left):
                states_BTH = encoder_states(*inputs)
        answer: torch.Tensor = self.heads[task](states_BTH, batch.attention_BT)
        return answer

    def save_pretrained(self, folder: Path) -> None:
        """The body as transformers saves it; beside it the weights of heads and mixes, and in heads.json what they are."""
        self.body.save_pretrained(folder)
        own = {name: weights for name, weights in self.state_dict().items() if not name.startswith("body.")}
        save_file({name: weights.detach().cpu().contiguous() for name, weights in own.items()}, Path(folder) / HEADS)
        heads = {name: self.head(name) for name in self.heads}
        told = {
            name: {
                "kind": type(head).__name__,
                "outputs": head.out.out_features,
                "frozen": name in self.mixes,
                "bounded": head.bounded,
            }
            for name, head in heads.items()
        }
        (Path(folder) / "heads.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path, body: PreTrainedModel) -> "Headed":
        """The body with the heads that `save_pretrained` left in the folder."""
        headed: Headed = cls(body)
        for name, told in json.loads((Path(folder) / "heads.json").read_text(encoding="utf-8")).items():
            kind = {kind.__name__: kind for kind in (Classifier, Pointwise)}[told["kind"]]
            headed = with_head(headed, name, told["outputs"], "frozen" if told["frozen"] else "full", 0, kind)
            headed.head(name).bounded = told.get("bounded", False)
        headed.load_state_dict({**headed.state_dict(), **load_file(Path(folder) / HEADS)})
        return headed


def body_of(model: nn.Module) -> PreTrainedModel:
    """The body of a model, with or without heads."""
    body: PreTrainedModel = model.body if isinstance(model, Headed) else model
    return body


def with_head(model: nn.Module, task: str, outputs: int, mode: str, seed: int, head: type[nn.Module] = Classifier) -> Headed:
    """The model with a head for a task, drawn with `seed`, unless it has one. mode: "full", or "frozen".

    Raises UserError if the head of that name is another task's.
    """
    headed = model if isinstance(model, Headed) else Headed(body_of(model))
    if task in headed.heads:
        found = headed.head(task)
        if type(found) is not head or found.out.out_features != outputs:
            raise UserError(
                f"the model has a head {task!r} of {found.out.out_features} outputs, which belongs to another kind of task; "
                f"expected one of {outputs}. Rename the folder of one of the two tasks, or leave it out."
            )
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            headed.heads[task] = head(width_of(headed.body), outputs, _dropout(headed.config))
    if mode == "frozen":
        headed.freeze(task, states_of(headed.body))
    return headed


def _dropout(config: Any) -> float:
    """The body's own, under the name that its family gives it."""
    return float(getattr(config, "hidden_dropout_prob", getattr(config, "dropout_rate", getattr(config, "dropout", 0.0))))
