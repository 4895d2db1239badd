"""Classification of a text, or of a pair of texts: one of the task's classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from raylab.data.task import Labelled
from raylab.families._inputs import OfTexts
from raylab.models.headed import Headed, with_head
from raylab.training.batching import MicroBatch
from raylab.training.objective import Columns, Mode


@dataclass(frozen=True, kw_only=True, eq=False)
class Classification(OfTexts):
    """accuracy: 1 where the likeliest class is the right one. bits_per_label: minus log2 of the right class's probability.

    macro_f1 and matthews_correlation (Gorodkin 2004's for several classes) are measures of a whole split: an example's number
    is its share, so that the mean is the split's figure; an interval takes the split's counts of classes as they are.
    """

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> Headed:
        return with_head(model, self.head, len(self.data.labels), mode, seed)

    def label(self, example: Labelled) -> int:
        return example.label

    def loss(self, model: Headed, batch: MicroBatch) -> torch.Tensor:
        return cross_entropy(self.said(model, batch), batch.labels_BU[:, 0], ignore_index=-100, reduction="sum")

    def logits(self, model: Headed, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor:
        return self.said(model, batch, embeddings_BTH)

    def uniform_loss(self) -> float:
        return math.log(len(self.data.labels))

    def answers(self, model: Headed, examples: Sequence[Labelled], device: torch.device) -> Columns:
        logits_BC, labels_B = self.read(model, examples, device)
        nats_B = cross_entropy(logits_BC, labels_B, reduction="none")
        return {
            "label": labels_B.tolist(),
            "predicted": logits_BC.argmax(1).tolist(),
            "bits_per_label": (nats_B / math.log(2)).tolist(),
        }

    def measured(self, noted: Columns) -> Columns:
        classes = np.arange(len(self.data.labels))
        label_EC, predicted_EC = (np.array(noted[name])[:, None] == classes for name in ("label", "predicted"))
        return {
            "accuracy": (label_EC & predicted_EC).any(1).astype(float).tolist(),
            "bits_per_label": noted["bits_per_label"],
            "macro_f1": _f1_shares(label_EC, predicted_EC).tolist(),
            "matthews_correlation": _correlation_shares(label_EC, predicted_EC).tolist(),
        }


def _f1_shares(label_EC: np.ndarray, predicted_EC: np.ndarray) -> np.ndarray:
    """Each example's share of the mean over classes of their F1; a class that is nowhere counts as 0."""
    counts_C = label_EC.sum(0) + predicted_EC.sum(0)
    worth_C = 2 * len(label_EC) / np.maximum(counts_C, 1) / label_EC.shape[1]
    shares: np.ndarray = (label_EC & predicted_EC) @ worth_C
    return shares


def _correlation_shares(label_EC: np.ndarray, predicted_EC: np.ndarray) -> np.ndarray:
    """Each example's share of the correlation between right and predicted classes; 0 where one of them is constant."""
    label_EC, predicted_EC = (side_EC - side_EC.mean(0) for side_EC in (label_EC.astype(float), predicted_EC.astype(float)))
    spread = math.sqrt(float((label_EC**2).sum(1).mean() * (predicted_EC**2).sum(1).mean()))
    shares: np.ndarray = (label_EC * predicted_EC).sum(1) / spread if spread else np.zeros(len(label_EC))
    return shares
