"""Which trials are stopped on the way: none, or by asynchronous successive halving (ASHA, Li et al. 2020)."""

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from raylab.cluster.trial import OBJECTIVE, PERCENT
from raylab.search.ledger import Run
from raylab.search.study import RUNGS, Conduct

REDUCTION = 4  # one trial in four goes on at a rung


def scheduler(conduct: Conduct) -> TrialScheduler:
    """The scheduler of a study's settings, which knows the rungs that its ledger tells."""
    if conduct.settings.scheduler == "none":
        return FIFOScheduler()
    return RememberingASHA(conduct.study.of_role("explore"), conduct.objective)


class RememberingASHA(ASHAScheduler):
    """ASHA that begins with the rungs of earlier runs. A resumed search goes on with the rungs as they stood, where a
    fresh ASHA would let its first trials pass, however bad they are."""

    def __init__(self, runs: Iterable[Run], objective: Callable[[dict[str, float]], float]) -> None:
        super().__init__(time_attr=PERCENT, max_t=100, grace_period=round(100 * RUNGS[0]), reduction_factor=REDUCTION)
        self._earlier = list(_rungs(runs, objective))

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Tune says here, once, what is minimised; from then on rungs can be filled."""
        accepted = super().set_search_properties(metric, mode, **spec)
        for key, percent, value in self._earlier:
            trial = SimpleNamespace(trial_id=key)  # all that ASHA reads of a trial
            self.on_trial_add(None, trial)
            self.on_trial_result(None, trial, {PERCENT: percent, OBJECTIVE: value})
        return bool(accepted)


def _rungs(runs: Iterable[Run], objective: Callable[[dict[str, float]], float]) -> Iterator[tuple[str, int, float]]:
    """Run key, percent of the run, objective: every rung that was reached, in order."""
    for run in runs:
        for rung in run.rungs:
            yield run.key, round(100 * rung["fraction"]), objective(rung["metrics"])
