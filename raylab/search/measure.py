"""The one figure a study compares its runs by, and which way is better."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.search.ledger import Run, Study
from raylab.verdict.selection import Standing, standings


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A metric by its name without the split, e.g. bits_per_answer."""

    name: str
    higher_is_better: bool

    @classmethod
    def of(cls, study: Study) -> "Measure":
        """The metric of a study's settings, in the direction that the verdict names, or else the scoring."""
        name = str(study.settings.get("metric") or "bits_per_answer")
        told = (study.verdict or {}).get("higher_is_better")
        return cls(name=name, higher_is_better=HIGHER_IS_BETTER.get(name, True) if told is None else bool(told))

    @property
    def words(self) -> str:
        """The metric in plain words: "bits per answer"."""
        return self.name.replace("_", " ")

    def score(self, run: Run) -> float | None:
        """The dev figure of a run that finished; None for others, whose last figure had a smaller budget."""
        return run.metrics.get(f"dev_{self.name}") if run.state == "finished" else None

    def better(self, a: float, b: float) -> bool:
        """Is `a` better than `b`?"""
        return a > b if self.higher_is_better else a < b

    def best(self, runs: list[Run]) -> Run | None:
        """The run with the best score, the earlier one of equals; None if none has a score."""
        scored = [run for run in runs if self.score(run) is not None]
        sign = -1 if self.higher_is_better else 1
        return min(scored, key=lambda run: sign * (self.score(run) or 0.0), default=None)

    def estimates(self, runs: Sequence[Run]) -> dict[str, Standing]:
        """By run key, the estimate of its recipe's dev score over seeds, from all runs of all recipes with a score: exploration,
        race and verdict. So the best of exploration is not told by its luckiest score."""
        scored = [(run, score) for run in runs if (score := self.score(run)) is not None]
        recipes = {text: row for row, text in enumerate(dict.fromkeys(_text(run) for run, _ in scored))}
        columns = {seed: column for column, seed in enumerate(sorted({run.replicate for run, _ in scored}))}
        sign = -1.0 if self.higher_is_better else 1.0
        losses_CS = np.full((len(recipes), len(columns)), np.nan)
        for run, score in scored:
            losses_CS[recipes[_text(run)], columns[run.replicate]] = sign * score
        found = standings(losses_CS) if scored else []
        told = {text: standing for text, row in recipes.items() if (standing := found[row]) is not None}
        return {run.key: self._turned(told[_text(run)]) for run, _ in scored if _text(run) in told}

    def _turned(self, loss: Standing) -> Standing:
        """An estimate of a loss as one of the metric."""
        if not self.higher_is_better:
            return loss
        low, high = (None if limit is None else -limit for limit in (loss.high, loss.low))
        return replace(loss, score=-loss.score, low=low, high=high)

    def course(self, runs: list[Run]) -> list[tuple[Run, float]]:
        """Runs with a score in the order they ended, each with the best score so far."""
        course: list[tuple[Run, float]] = []
        for run in sorted((r for r in runs if self.score(r) is not None), key=lambda r: r.ended or 0.0):
            score = self.score(run) or 0.0
            course.append((run, score if not course or self.better(score, course[-1][1]) else course[-1][1]))
        return course


def figures(standing: Standing | None) -> dict[str, Any]:
    """An estimate in the names that every table, export and metric uses; None where there is none."""
    if standing is None:
        return {"score": None, "score_low": None, "score_high": None, "n_seeds": None}
    return {"score": standing.score, "score_low": standing.low, "score_high": standing.high, "n_seeds": standing.seeds}


def _text(run: Run) -> str:
    return json.dumps(run.recipe, sort_keys=True)
