"""What an episode is made of: passages, supporting and held-out questions, and the losses of the inner model on them.

Letters: B passages, T positions, L longest span, K draws a passage, R = B x K rows.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import pad

from raylab.data.prepared import Prepared
from raylab.data.tokenizer import ids_of
from raylab.masking.corrupt import IGNORED, Batch, corrupt
from raylab.masking.learned.meta.proxy import Proxy
from raylab.masking.learned.meta.unrolled import Loss, Params
from raylab.masking.learned.scoring import Reading
from raylab.masking.policy import Mask
from raylab.masking.sampling import mask_of
from raylab.training.batching import MicroBatch, pairs, to_device


class Material:
    """The prepared data as batches of what the inner model is trained on."""

    def __init__(self, data: Prepared, device: torch.device) -> None:
        self.data, self.device = data, device
        self._reading = Reading.of(data.corpus.tokenised())
        examples = data.splits["train"]
        self._questions = ids_of(data.tokenizer, [example.question for example in examples])
        self._answers = ids_of(data.tokenizer, [example.answer for example in examples])

    def asked(self, rows: Sequence[int]) -> Batch:
        """These questions of the train split, answers as labels."""
        symbols = self.data.symbols
        questions, answers = [self._questions[row] for row in rows], [self._answers[row] for row in rows]
        return pairs(questions, answers, symbols.eos, symbols.pad, self.data.max_tokens + 1)

    def read(self, rows_B: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """These passages as the policy reads them: ids, where a token stands, where one may be hidden, (B, T) each."""
        ids_BT, there_BT, maskable_BT = (part.to(self.device) for part in self._reading.batch(rows_B))
        return ids_BT, there_BT, maskable_BT

    def hidden(self, rows_B: np.ndarray, starts_BK: torch.Tensor, ends_BK: torch.Tensor) -> Batch:
        """A row for each span of each passage: the passage without it, and the span as what is asked for."""
        passages = self.data.corpus.passages(np.repeat(rows_B, starts_BK.shape[1]))
        first_R = passages.starts_R1[:-1]
        mask = mask_of(passages, first_R + starts_BK.flatten().cpu().numpy(), first_R + ends_BK.flatten().cpu().numpy())
        return corrupt(passages, mask, self.data.symbols, "spans", self.data.max_tokens + 1)

    def in_place(self, rows_B: np.ndarray, starts_B1: torch.Tensor | None = None, ends_B1: torch.Tensor | None = None) -> Batch:
        """Whole passages as labels, and as input with each hidden token replaced by the mask symbol (nothing hidden: None)."""
        passages = self.data.corpus.passages(rows_B)
        hidden_N = np.zeros(len(passages.tokens_N), bool)
        if starts_B1 is not None and ends_B1 is not None:
            first_B = passages.starts_R1[:-1]
            hidden_N = mask_of(passages, first_B + starts_B1[:, 0].cpu().numpy(), first_B + ends_B1[:, 0].cpu().numpy()).hidden_N
        symbol_N = np.full(len(hidden_N), self.data.symbols.mask)
        mask = Mask(hidden_N=hidden_N, begins_N=hidden_N, replacement_N=symbol_N)
        return corrupt(passages, mask, self.data.symbols, "sentence", self.data.max_tokens + 1)

    def on_device(self, batch: Batch) -> MicroBatch:
        """All its rows."""
        return to_device(batch, slice(None), self.device)


class Episode:
    """The world of one episode (raylab.masking.learned.meta.estimators.World). read: every batch that a loss was asked of, and
    whether an inner step did."""

    def __init__(
        self, proxy: Proxy, base: Params, material: Material, passages: Sequence[np.ndarray],
        supporting: Sequence[Sequence[int]], held_out: Sequence[int],
    ) -> None:  # fmt: skip
        self.base, self.passages = base, passages
        self.read: list[tuple[MicroBatch, bool]] = []
        self._proxy, self.material = proxy, material
        self.finetuning: Sequence[Loss] = [self._mean_loss(material.asked(rows), inner=True) for rows in supporting]
        self._held_out = self._mean_loss(material.asked(held_out), inner=False)

    def held_out(self, params: Params) -> torch.Tensor:
        return self._held_out(params)

    def rows(self, step: int, starts_BK: torch.Tensor, ends_BK: torch.Tensor, weight_RT: torch.Tensor) -> Loss:
        batch = self.material.on_device(self.material.hidden(self.passages[step], starts_BK, ends_BK))
        weight_RU = _of_labels(weight_RT, starts_BK.flatten(), ends_BK.flatten(), batch.labels_BU)

        def loss(params: Params) -> torch.Tensor:
            """Nats a target token."""
            self.read.append((batch, True))
            return (weight_RU * self._proxy.nats(params, batch)).sum() / weight_RU.sum()

        return loss

    def mixed(self, step: int, hidden_BT: torch.Tensor) -> Loss:
        batch = self.material.on_device(self.material.in_place(self.passages[step]))
        hidden_RT = pad(hidden_BT, (0, batch.input_ids_BT.shape[1] - hidden_BT.shape[1]))  # the end symbol is never hidden

        def loss(params: Params) -> torch.Tensor:
            self.read.append((batch, True))
            return self._proxy.mixed_loss(params, batch, hidden_RT, self.material.data.symbols.mask)

        return loss

    def _mean_loss(self, rows: Batch, *, inner: bool) -> Loss:
        batch = self.material.on_device(rows)

        def loss(params: Params) -> torch.Tensor:
            self.read.append((batch, inner))
            return self._proxy.nats(params, batch).sum() / (batch.labels_BU != -100).sum()

        return loss


def _of_labels(weight_RT: torch.Tensor, starts_R: torch.Tensor, ends_R: torch.Tensor, labels_RU: torch.Tensor) -> torch.Tensor:
    """The weights (R, U) of the labels marker, span, end symbol: in the span those of its tokens, beside it their mean."""
    place_U = torch.arange(labels_RU.shape[1], device=labels_RU.device)
    lengths_R1 = (ends_R - starts_R)[:, None]
    own_RU = (place_U >= 1) & (place_U <= lengths_R1)
    index_RU = (starts_R[:, None] + place_U - 1).clamp(0, weight_RT.shape[1] - 1)
    token_RU = weight_RT.gather(1, index_RU) * own_RU
    mean_R1 = token_RU.sum(dim=1, keepdim=True) / lengths_R1
    return torch.where(own_RU, token_RU, mean_R1) * (labels_RU != IGNORED)
