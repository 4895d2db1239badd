"""A study whose runs take no time: a runner in this process that invents scores as a function of recipe and seed."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raylab.data.prepared import Prepared
from raylab.recipe import ModelSpec, Recipe
from raylab.search.ledger import ENDED, Ledger, Study
from raylab.search.space import Chooser, Domain, Setting, load_space
from raylab.search.study import Conduct, Request, Settings
from raylab.stages.denoise import Denoise

SETTING = Setting(
    task="invented", base=ModelSpec(), policies=("uniform", "salient", "span"), budget_tokens=1_000, finetune_steps=5,
    batch_size=8, sources=("like", "unlike", "other"),
)  # fmt: skip
SETTINGS = Settings(space="masking", trials=6, seed=0, seeds=3, metric="bits_per_answer", scheduler="none", setting=SETTING)
BITS = {"uniform": 28.0, "span": 27.0, "salient": 24.0, "none": 31.0}


class Draws(Chooser):
    """Draws at random, as a sampler without a memory does."""

    def __init__(self, seed: int, fixed: Any = None) -> None:
        super().__init__(fixed)
        self.random = random.Random(seed)

    def draw(self, name: str, domain: Domain) -> Any:
        if domain.options:
            return self.random.choice(domain.options)
        if domain.integer:
            return self.random.randint(int(domain.low), int(domain.high))
        return self.random.uniform(domain.low, domain.high)


def bits(recipe: Recipe) -> float:
    """The expected score: by policy, and by how far the learning rate is from the best."""
    if not recipe.stages:
        return BITS["none"]
    (stage,) = recipe.stages
    if not isinstance(stage, Denoise):
        return BITS["uniform"]
    return BITS[stage.policy.name()] + 300 * abs(stage.optimization.learning_rate - 0.004)


def conduct_in(
    folder: Path, data: Prepared, *, clock: Callable[[], float] = time.time, **settings: Any
) -> tuple[Conduct, Ledger]:
    """A study in `folder`: a new one, or the one that its ledger tells."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder, clock)
    if not ledger.path.stat().st_size:
        ledger.append("study", name=folder.name, settings={}, data={}, environment={})
    chosen = replace(SETTINGS, **settings)
    return Conduct(chosen, load_space(chosen.space), data, Study.read(folder)), ledger


class FakeRunner:
    """Runs requests at once. fails(request) says which do not finish, scored(request) which have a score at all; at most
    `limit` runs, then the driver dies. luck: what a seed does to a recipe and not to others, as a standard deviation."""

    def __init__(
        self, ledger: Ledger, study: Study, *, fails: Callable[[Request], bool] = lambda request: False, limit: int = 10**6,
        scored: Callable[[Request], bool] = lambda request: True, luck: float = 0.0,
    ) -> None:  # fmt: skip
        self.ledger, self.study, self.fails, self.limit = ledger, study, fails, limit
        self.scored, self.luck = scored, luck
        self.ran: list[str] = []

    def explore(self, conduct: Conduct) -> None:
        """The starts of the space first, then draws."""
        starts: list[dict[str, Any]] = conduct.space.starts(conduct.settings.setting)
        first = len(conduct.study.of_role("explore")) + len(conduct.study.cached)
        for trial in range(first, first + conduct.still_due()):
            choose = Draws(trial)
            values = starts[trial] if trial < len(starts) else self._drawn(conduct, choose)
            recipe, values, _ = conduct.space.decode(values, conduct.settings.setting)
            request = conduct.explore_request(recipe, values, trial)
            if not conduct.allowance.admits(request):
                return
            self._execute(request)

    def run(self, requests: Sequence[Request]) -> None:
        for request in requests:
            known = self.study.runs.get(request.key)
            if known is None or known.state not in ENDED:
                self._execute(request)

    def _drawn(self, conduct: Conduct, choose: Draws) -> dict[str, Any]:
        conduct.space.recipe(choose, conduct.settings.setting)
        return choose.values

    def _execute(self, request: Request) -> None:
        if len(self.ran) == self.limit:
            raise KeyboardInterrupt
        self.ran.append(request.key)
        plain = request.plain()
        self._tell("run", **{k: plain[k] for k in ("key", "role", "replicate", "trial", "recipe", "values", "label")})
        self._tell("start", key=request.key, lane=0, attempt=1)
        failed = self.fails(request)
        scores = {} if failed or not self.scored(request) else {split: self._scores(request, split) for split in request.splits}
        metrics = {f"{split}_{name}": sum(row) / len(row) for split, rows in scores.items() for name, row in rows.items()}
        metrics |= self.used(request)
        state, error = ("failed", "Traceback: no luck") if failed else ("finished", None)
        self._tell("end", key=request.key, state=state, metrics=metrics, scores=scores, seconds={"total": 1.0}, error=error)

    def used(self, request: Request) -> dict[str, float]:
        """What a run tells that it used."""
        return {}

    def _scores(self, request: Request, split: str) -> dict[str, list[float]]:
        """Nine questions; what a seed does to a question it does to it in every arm."""
        noise = random.Random(f"{request.seeds.init}{split}")
        expected = bits(request.recipe) + self.luck * random.Random(request.key).gauss(0, 1)
        row = [round(expected + noise.gauss(0, 0.5), 3) for _ in range(9)]
        return {"bits_per_answer": row, "exact_match": [float(b < 24) for b in row], "f1": [0.0] * 9}

    def _tell(self, event: str, **fields: Any) -> None:
        self.study.apply(self.ledger.append(event, **fields))


def states(study: Study, *roles: str) -> list[str]:
    """How the runs of these roles ended."""
    return [run.state for run in study.of_role(*roles)]
