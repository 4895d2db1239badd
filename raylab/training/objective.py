"""What finetuning on a task asks of a model, and how its answers are scored: one file a family of tasks."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn

from raylab.data.prepared import Prepared
from raylab.masking.corrupt import Batch
from raylab.registry import Plugin, Registry
from raylab.training.batching import MicroBatch

Columns = Mapping[str, Sequence[float]]  # what is measured, by name: one number an example
Mode = Literal["full", "frozen"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective(Plugin):
    """One task, prepared, as its family learns and scores it. Rows are positions in the train split."""

    data: Prepared
    writes: ClassVar[bool] = False  # whether its answers are texts, which only an encoder-decoder gives
    registry: ClassVar[Registry] = Registry("task family", "raylab.families")

    @property
    def head(self) -> str:
        """The name of its head: the task's, unless tasks of the family share one, or torch cannot have a module of that name."""
        name = self.data.task.replace(".", "_")
        return f"{name}_" if hasattr(nn.ModuleDict, name) else name

    def equip(self, model: nn.Module, mode: Mode, seed: int) -> nn.Module:
        """The model with what this task needs of it: a head from random weights drawn with `seed`, unless it has one.

        Raises UserError for a model, or a mode, that the family cannot use.
        """
        return model

    @abstractmethod
    def lengths(self) -> np.ndarray:
        """Tokens of every row: batches are made of rows of about one length."""

    @abstractmethod
    def batch(self, rows: Sequence[int]) -> Batch:
        """These rows as one padded batch."""

    @abstractmethod
    def loss(self, model: Any, batch: MicroBatch) -> torch.Tensor:
        """The loss in nats, summed over the batch's targets: its labels that are not -100."""

    def logits(self, model: Any, batch: MicroBatch, embeddings_BTH: torch.Tensor | None = None) -> torch.Tensor | None:
        """The logits (N, C) of the distributions that the batch's labels are drawn from; None where a family has none of a few
        choices. embeddings_BTH: read in place of the tokens' own."""
        return None

    def uniform_loss(self) -> float:
        """Nats a target of a uniform guess."""
        return math.log(len(self.data.tokenizer))

    @abstractmethod
    def size(self, example: Any) -> int:
        """How long an example is, in any unit: examples of about one size are scored together."""

    @abstractmethod
    def answers(self, model: Any, examples: Sequence[Any], device: torch.device) -> Columns:
        """What is noted of the model's answers to a few examples, by name, one number an example."""

    def measured(self, noted: Columns) -> Columns:
        """The measures of a whole split from what was noted of each of its examples: their means are the split's figures."""
        return noted


@lru_cache(maxsize=64)
def objective_of(data: Prepared) -> Objective:
    """The objective of a prepared task, by its family."""
    objective: Objective = Objective.registry.get(data.family)(data=data)
    return objective
