"""Regression: a number for a text, or for a pair of texts, such as how alike they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.stats import rankdata
from torch import nn

from raylab.data.task import Scored
from raylab.families._inputs import OfTexts
from raylab.models.headed import Headed, with_head
from raylab.training.batching import MicroBatch
from raylab.training.objective import Columns, Mode

_DIGITS = 5  # of what is said: less is noise of float sums, which must not decide ranks


@dataclass(frozen=True, kw_only=True, eq=False)
class Regression(OfTexts):
    """The head says the score in standard deviations of the train split from its mean; the loss is half of the squared error.

    pearson and spearman are measures of a whole split: an example's number is the product of its standardised scores (ranks),
    of which the correlation is the mean; an interval takes the split's means and deviations as they are.
    """

    @cached_property
    def _scale(self) -> tuple[float, float]:
        scores = np.array([example.score for example in self.data.splits["train"]])
        return float(scores.mean()), float(scores.std()) or 1.0

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> Headed:
        return with_head(model, self.head, 1, mode, seed)

    def label(self, example: Scored) -> float:
        mean, deviation = self._scale
        return (example.score - mean) / deviation

    def loss(self, model: Headed, batch: MicroBatch) -> torch.Tensor:
        labels_B = batch.labels_BU[:, 0].float()
        error_B = self.said(model, batch)[:, 0] - labels_B
        return 0.5 * (error_B**2 * (labels_B != -100)).sum()

    def uniform_loss(self) -> float:
        """That of the train split's mean, whatever the text: what a uniform guess is to classes."""
        return 0.5

    def answers(self, model: Headed, examples: Sequence[Scored], device: torch.device) -> Columns:
        said_B1, labels_B = self.read(model, examples, device)
        return {"score": labels_B.tolist(), "predicted": said_B1[:, 0].double().round(decimals=_DIGITS).tolist()}

    def measured(self, noted: Columns) -> Columns:
        score_E, predicted_E = (np.array(noted[name]) for name in ("score", "predicted"))
        return {
            "pearson": _shares(score_E, predicted_E).tolist(),
            "spearman": _shares(rankdata(score_E), rankdata(predicted_E)).tolist(),
        }


def _shares(ones_E: np.ndarray, others_E: np.ndarray) -> np.ndarray:
    """Each example's share of the correlation; 0 where one side is constant."""
    deviation = float(ones_E.std() * others_E.std())
    shares: np.ndarray = (ones_E - ones_E.mean()) * (others_E - others_E.mean()) / (deviation or 1.0)
    return shares
