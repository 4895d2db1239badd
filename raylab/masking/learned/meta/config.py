"""How a masking policy is meta-learned."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.masking.learned.card import Card
from raylab.masking.learned.extractor import Extractor, ExtractorConfig
from raylab.masking.learned.meta.estimators import Name
from raylab.masking.learned.pairs import MIN_OVERLAP
from raylab.recipe import ModelSpec
from raylab.training.checkpoint import Checkpoints
from raylab.training.optimizer import Optimization
from raylab.training.parallel import Parallel
from raylab.training.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Meta:
    """kind, width, layers, longest, dropout: of the policy's scorer (raylab.masking.learned.extractor). min_overlap:
    raylab.masking.learned.pairs. start: the identity of the card that it began from, "" for the uniform policy.

    base: the inner model, which begins each episode where its plain training ended: `base_pretraining` steps on uniformly drawn
    spans, then `base_finetuning` steps on the supporting half of the train questions. folds: each fold has a base of its
    own, and other questions are held out of it, so that all train questions are held out of one.

    An episode: `inner_pretraining` steps on the passages that answer `questions` held-out questions, `draws` spans of each;
    `inner_finetuning` steps on `supporting` others; the loss of the held-out ones. Rates multiply gradients as Adam scales them.
    estimator, second_order, temperature: raylab.masking.learned.meta.estimators.

    steps: each of `episodes` new episodes, and `updates` of the policy on batches of `batch` of them. optimization: of all
    updates. skipped: the share of episodes that may be without a finite gradient.
    """

    kind: Literal["bilstm", "transformer"] = "bilstm"
    width: int = 64
    layers: int = 2
    longest: int = 10
    dropout: float = 0.3
    min_overlap: float = MIN_OVERLAP
    start: str = ""
    base: ModelSpec = field(default_factory=ModelSpec)
    base_pretraining: int = 60
    base_finetuning: int = 30
    base_batch: int = 32
    folds: int = 2
    questions: int = 1
    supporting: int = 8
    inner_pretraining: int = 1
    inner_finetuning: int = 1
    pretraining_rate: float = 2e-3
    finetuning_rate: float = 1e-3
    draws: int = 24
    estimator: Name = "improved"
    second_order: bool = True
    temperature: float = 0.25
    steps: int = 4
    episodes: int = 112
    updates: int = 40
    batch: int = 32
    optimization: Optimization = field(default_factory=lambda: Optimization(learning_rate=5e-3, warmup=0.05))
    skipped: float = 0.1

    def __post_init__(self) -> None:
        counts = ("base_batch", "questions", "supporting", "inner_pretraining", "episodes", "updates", "batch")
        for name in counts:
            if getattr(self, name) < 1:
                raise UserError(f"{name} of meta-learning is {getattr(self, name)}; expected at least 1.")
        for name in ("base_pretraining", "base_finetuning", "inner_finetuning", "steps"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} of meta-learning is {getattr(self, name)}; expected 0 or more steps.")
        if self.estimator != "gumbel" and self.draws < 2:
            raise UserError(f"draws of meta-learning is {self.draws}; expected at least 2, as each is compared with the others.")
        if self.inner_pretraining > self.questions:
            raise UserError(
                f"an episode has {self.inner_pretraining} inner pretraining steps and passages of {self.questions} questions; "
                "expected at least one question a step."
            )
        for name in ("pretraining_rate", "finetuning_rate", "temperature"):
            if getattr(self, name) <= 0:
                raise UserError(f"{name} of meta-learning is {getattr(self, name)}; expected a positive number.")
        if not 0 <= self.skipped < 1:
            raise UserError(f"skipped of meta-learning is {self.skipped}; expected a share from 0 up to, but not including, 1.")
        if self.folds < 2:
            raise UserError("meta-learning holds questions out of the inner model's training; expected at least 2 folds.")

    def extractor(self, vocab_size: int) -> ExtractorConfig:
        """The scorer for a vocabulary."""
        return ExtractorConfig(
            vocab_size=vocab_size, kind=self.kind, width=self.width, layers=self.layers, longest=self.longest,
            dropout=self.dropout,
        )  # fmt: skip

    def cost(self, data: Prepared, seed: int) -> dict[str, float]:
        """About the corpus tokens and operations that `learn` takes. Raises UserError as `learn` for too few answers."""
        from raylab.masking.learned.meta.learn import about  # which reads this configuration

        return about(self, data, seed)

    def learn(
        self, data: Prepared, seed: int, parallel: Parallel | None = None, checkpoints: Checkpoints | None = None,
        start: Extractor | None = None,
    ) -> Generator[Progress, None, tuple[Extractor, Card]]:  # fmt: skip
        """Learn from the train split of prepared data. Yields a Progress a step; returns the extractor and its card.

        start: a policy to begin from, e.g. one learned by supervision; `self.start` names it. Raises UserError for data with too
        few passages that hold answers, Diverged, OutOfMemory.
        """
        from raylab.masking.learned.meta.learn import learn  # which reads this configuration

        return learn(self, data, seed, parallel or Parallel(), checkpoints or Checkpoints(), start)
