"""The one figure a study compares its runs by, and which way is better."""

from dataclasses import dataclass

from raylab.data.scoring import HIGHER_IS_BETTER
from raylab.search.ledger import Run, Study


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

    def course(self, runs: list[Run]) -> list[tuple[Run, float]]:
        """Runs with a score in the order they ended, each with the best score so far."""
        course: list[tuple[Run, float]] = []
        for run in sorted((r for r in runs if self.score(r) is not None), key=lambda r: r.ended or 0.0):
            score = self.score(run) or 0.0
            course.append((run, score if not course or self.better(score, course[-1][1]) else course[-1][1]))
        return course
