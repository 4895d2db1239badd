"""A study's own sampler and scheduler in a simulation: the interfaces that Ray Tune calls, without Ray Tune."""

import math
from types import SimpleNamespace

from ray.tune.schedulers import TrialScheduler

from raylab.cluster.sampler import sampler
from raylab.cluster.scheduler import scheduler
from raylab.cluster.trial import INFEASIBLE, OBJECTIVE, PERCENT
from raylab.recipe import Recipe, decode
from raylab.search.ledger import Run, infeasible
from raylab.search.study import Conduct, Request


class SampledTrials:
    """A raylab.search.simulated.Proposer: the sampler of the study's settings."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self._sampler = sampler(conduct, lambda request: request, lambda: False)
        self._ids: dict[int | None, str] = {}  # Tune's, by the number of the trial, which is known after it was suggested

    def ask(self) -> Request | None:
        """The next trial, or None if a cap has no room for it."""
        identity = str(len(self._ids))
        plain = self._sampler.suggest(identity)
        if not isinstance(plain, dict):
            return None
        self._ids[plain["trial"]] = identity
        return self.conduct.explore_request(decode(Recipe, plain["recipe"]), plain["values"], plain["trial"])

    def tell(self, request: Request, run: Run) -> None:
        """How it ended, as Tune would say."""
        value = self.conduct.objective(run.metrics) if run.state in ("finished", "pruned") else math.inf
        rungs = len(run.rungs) + (run.state == "finished")
        cannot = infeasible(run.state, run.error)
        result = {OBJECTIVE: value, "state": run.state, INFEASIBLE: cannot, "training_iteration": max(1, rungs)}
        self._sampler.on_trial_complete(self._ids[request.trial], result)


class ScheduledTrials:
    """A raylab.search.simulated.Stopper: the scheduler of the study's settings."""

    def __init__(self, conduct: Conduct) -> None:
        self._scheduler = scheduler(conduct)
        self._scheduler.set_search_properties(OBJECTIVE, "min")
        self._trials: dict[str, SimpleNamespace] = {}

    def goes_on(self, request: Request, fraction: float, objective: float) -> bool:
        """What the scheduler says of a trial that reports this."""
        if request.key not in self._trials:
            self._trials[request.key] = SimpleNamespace(trial_id=request.key)  # all that Tune's schedulers read of a trial
            self._scheduler.on_trial_add(None, self._trials[request.key])
        result = {PERCENT: round(100 * fraction), OBJECTIVE: objective}
        said = self._scheduler.on_trial_result(None, self._trials[request.key], result)
        return bool(said == TrialScheduler.CONTINUE)
