"""A study in memory, run by run, for the tests of what a search says about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from raylab.recipe import encode
from raylab.search.ledger import Study
from raylab.search.space import Replay, Setting, load_space
from raylab.search.study import Conduct, Request, Settings
from tests import tiny


class ToldStudy:
    """A study of `trials` uniform and salient recipes whose events are told at given seconds."""

    def __init__(self, folder: Path, trials: int = 4, seeds: int = 2, **data: Any) -> None:
        prepared = tiny.prepared(folder)
        setting = Setting(
            task="invented", base=tiny.recipe().base, policies=("uniform", "salient"), budget_tokens=2000, finetune_steps=4
        )
        settings = Settings(
            space="masking", trials=trials, seed=0, seeds=seeds, metric="bits_per_answer", scheduler="none", setting=setting
        )
        told = {
            "name": "invented", "source": "builtin:invented", "corpus": "invented", "fingerprint": prepared.fingerprint,
            "questions": {"train": 24, "dev": 6, "test": 6}, "passages": 12, "tokens": 456, "notes": [], "warnings": [], **data,
        }  # fmt: skip
        study = Study(name="told", settings={"metric": "bits_per_answer"}, data=told, environment={}, created=0.0)
        self.study = study
        self.conduct = Conduct(settings, load_space("masking"), prepared, study)

    def trial(self, number: int, policy: str = "uniform") -> Request:
        """The request of a trial; each number has its own learning rate."""
        values = {"policy": policy, "learning_rate": 0.001 + 0.0001 * number}
        recipe = self.conduct.space.recipe(Replay(values), self.conduct.settings.setting)
        return self.conduct.explore_request(recipe, values, number)

    def start(self, request: Request, at: float) -> None:
        """A lane takes it up."""
        names = ("key", "role", "replicate", "trial", "values", "label")
        self._tell("run", at, recipe=encode(request.recipe), **{name: getattr(request, name) for name in names})
        self._tell("start", at, key=request.key)

    def end(
        self, request: Request, at: float, score: float | None = None, state: str = "finished", error: str | None = None
    ) -> None:
        """It ends; with its score on dev, and the same for every question of test."""
        metrics = {} if score is None else {"dev_bits_per_answer": score}
        scores = {} if score is None else {"test": {"bits_per_answer": [score] * 6}}
        self._tell("end", at, key=request.key, state=state, metrics=metrics, scores=scores, seconds={}, error=error)

    def run(self, request: Request, score: float, began: float = 1.0, took: float = 10.0) -> None:
        """From start to end."""
        self.start(request, began)
        self.end(request, began + took, score)

    def run_due(self, score: Callable[[Request], float]) -> None:
        """Race and verdict, run by run, until nothing is due."""
        while requests := self.conduct.due():
            for request in requests:
                self.run(request, score(request))

    def _tell(self, event: str, at: float, **fields: Any) -> None:
        self.study.apply({"event": event, "time": at, **fields})
