"""What the core yields. The core yields, the edges report."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """One optimizer step of a stage is done. Counts are those of the step, over all workers.

    position: optimizer steps of the whole run so far. loss: nats a target token, None where it was not read from the device
    (that is done every few steps, as it waits for the device). corpus_tokens: tokens read before masking (0 in finetuning).
    positions: that the model computed, of which so many only pad. seconds: where this step's time went, by part. measured:
    what the stage found out about the model with this step, as metrics of the run.
    """

    stage: str
    step: int
    steps: int
    position: int = 0
    learning_rate: float
    loss: float | None
    corpus_tokens: int
    input_tokens: int
    target_tokens: int
    flops: float
    positions: int = 0
    padding: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A downstream score on the way, at `fraction` of the recipe's pretraining steps."""

    fraction: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something a person should know of a run that goes on all the same."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """A prefix of the recipe's stages is done. Its model stands in the stage cache, or will not, under this stage key."""

    key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The end of a run. metrics, memory: as in raylab.search.ledger.Run. scores: by split and measure, one number a question."""

    metrics: Mapping[str, float]
    scores: Mapping[str, Mapping[str, list[float]]]
    seconds: Mapping[str, float]
    memory: Mapping[str, int]
