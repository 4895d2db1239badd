"""The smallest world that training knows: invented facts in invented passages, and recipes of less than a second."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from raylab.data.invented import facts
from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.task import SPLITS, Passage, Question, TaskData
from raylab.masking.policies.uniform import Uniform
from raylab.recipe import ModelSpec, Recipe, digest
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.optimizer import Optimization
from raylab.training.progress import Progress, Result, Rung
from raylab.trial import Execution, run_recipe

HOW = Preparation(vocab_size=400, max_tokens=64)
SEEDS = Seeds.of(0, 0)
TOKENS_A_PASSAGE = 38  # on average, of HOW's tokens


def task() -> TaskData:
    """36 questions about 12 passages of one window each."""
    splits: dict[str, list[Question]] = {split: [] for split in SPLITS}
    passages: dict[str, Passage] = {}
    for i, fact in enumerate(facts()):
        passages[fact.title] = Passage(id=fact.title, title=fact.title, text=fact.text)
        answers = (fact.answer, *fact.aliases)
        splits[fact.split].append(Question(id=f"q{i}", question=fact.question, answer=fact.answer, answers=answers))
    return TaskData(
        name="invented", source="builtin:invented", version=1, splits={s: tuple(e) for s, e in splits.items()},
        corpus=tuple(passages.values()), corpus_name="invented",
    )  # fmt: skip


def prepared(storage: Path, data: TaskData | None = None, how: Preparation = HOW) -> Prepared:
    """The task made ready below `storage`."""
    data = data or task()
    return prepare(data, digest([str(data.corpus), str(data.splits)]), how, storage)


def recipe(
    *, pretrain_steps: int = 8, finetune_steps: int = 6, batch_size: int = 6, micro_batch: int = 0,
    learning_rate: float = 2e-3, **base: Any,
) -> Recipe:  # fmt: skip
    """Uniform masking, then finetuning; `base` are fields of the model."""
    optimization = Optimization(learning_rate=learning_rate)
    sizes: dict[str, Any] = {"batch_size": batch_size, "micro_batch": micro_batch, "optimization": optimization}
    denoise = Denoise(policy=Uniform(rate=0.2), budget_tokens=1, **sizes)
    return Recipe(
        base=ModelSpec(**base), stages=(replace(denoise, budget_tokens=_budget(denoise, pretrain_steps)),), task="invented",
        finetune=Finetune(steps=finetune_steps, **sizes),
    )  # fmt: skip


def _budget(denoise: Denoise, steps: int) -> int:
    """Corpus tokens that make just so many steps."""
    return round((steps - 0.5) * denoise.batch_size * TOKENS_A_PASSAGE)


@dataclass(kw_only=True, slots=True)
class Trace:
    """All that a run yielded, and the norm of each step's gradient: AdamW hides a wrong scale of it from the losses."""

    norms: list[float] = field(default_factory=list)
    steps: list[Progress] = field(default_factory=list)
    rungs: list[Rung] = field(default_factory=list)
    result: Result | None = None

    @property
    def losses(self) -> list[tuple[str, int, float]]:
        """Every loss that was read: stage, step, nats a token."""
        return [(p.stage, p.step, p.loss) for p in self.steps if p.loss is not None]


def traced(what: Recipe, data: Prepared, *, stop_after: int | None = None, **execution: Any) -> Trace:
    """Run a recipe to its end, or close it after so many steps."""
    trace = Trace()
    clip = nn.utils.clip_grad_norm_

    def noting(parameters: Iterable[torch.Tensor], limit: float) -> torch.Tensor:
        norm = clip(parameters, limit)
        trace.norms.append(norm.item())
        return norm

    with mock.patch.object(nn.utils, "clip_grad_norm_", noting):
        events = run_recipe(what, Execution(**{"data": data, "seeds": SEEDS, "splits": ("dev", "test"), **execution}))
        for event in events:
            if isinstance(event, Progress):
                trace.steps.append(event)
                if len(trace.steps) == stop_after:
                    events.close()
            elif isinstance(event, Rung):
                trace.rungs.append(event)
            elif isinstance(event, Result):
                trace.result = event
    return trace


def numbers(result: Result) -> dict[str, Sequence[float] | float]:
    """What of a result does not depend on the clock."""
    scores = {f"{split}/{measure}": row for split, rows in result.scores.items() for measure, row in rows.items()}
    return {**scores, **result.metrics}
