"""Who proposes recipes to Ray Tune, by the name that `--sampler` gives it; each is rebuilt from the ledger.

    tpe      Optuna's tree-structured Parzen estimator: learns from the trials so far
    gp       expected improvement over a Gaussian process that knows of noise (raylab.search.proposal): learns, too
    random   independent draws
    list     recipe n is decided by the study's seed and n alone (raylab.search.listed)

Optuna stands behind Tune's OptunaSearch. What that leaves to do: tell PRUNED and FAIL where a trial was pruned or failed
(it tells COMPLETE, and TPE then compares low-fidelity values with full ones; a value that is no number leaves its trial
running for ever), and start from recorded trials (its own way does not take define-by-run spaces).

A recipe that diverged or ran out of memory always would, and is learned, as the worst there is, so that its neighbours are
avoided. A run that failed otherwise, with its machine for one, tells nothing of its recipe and is forgotten.
"""

import math
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from raylab.cluster.trial import INFEASIBLE, OBJECTIVE
from raylab.search.ledger import ENDED, Run, infeasible
from raylab.search.listed import listed
from raylab.search.proposal import Tried, propose
from raylab.search.space import Chooser, Domain
from raylab.search.study import Conduct, Request, numbers_due
from raylab.seeds import derive

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
_STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL, "diverged": TrialState.FAIL}


class Draw(Chooser):
    """Draws from an Optuna trial."""

    def __init__(self, trial: Any, fixed: Any) -> None:
        super().__init__(fixed)
        self.trial = trial

    def draw(self, name: str, domain: Domain) -> Any:
        if domain.options:
            return self.trial.suggest_categorical(name, domain.options)
        if domain.integer:
            return self.trial.suggest_int(name, int(domain.low), int(domain.high), log=domain.log)
        return self.trial.suggest_float(name, domain.low, domain.high, log=domain.log)


def distribution(domain: Domain) -> BaseDistribution:
    """A domain as Optuna stores it."""
    if domain.options:
        return CategoricalDistribution(domain.options)
    if domain.integer:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


Config = Callable[[dict[str, Any]], dict[str, Any]]  # the config that Tune gives a trial, of a request in plain form
Stop = Callable[[], bool]  # asked before every suggestion; True ends exploration


def sampler(conduct: Conduct, config: Config, stop: Stop) -> Searcher:
    """The sampler of a study's settings, which knows what the ledger knows."""
    return SAMPLERS[conduct.settings.sampler](conduct, config, stop)


class _FromLedger(Searcher):
    """A sampler of which Tune keeps nothing: Tune would restore from it, but a study is resumed from its ledger alone."""

    conduct: Conduct
    config: Config

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None:
        pass

    def _asked(self, request: Request) -> Any:
        """The config of a trial, or FINISHED if a cap has no room for it."""
        return self.config(request.plain()) if self.conduct.allowance.admits(request) else Searcher.FINISHED


class ListSampler(_FromLedger):
    """The space's list, trial by trial. How they end changes nothing."""

    def __init__(self, conduct: Conduct, config: Config, stop: Stop) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self.conduct, self.config, self.stop, self.due = conduct, config, stop, numbers_due(conduct.study)

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial, or FINISHED."""
        if self.stop():
            return Searcher.FINISHED
        settings, number = self.conduct.settings, next(self.due)
        recipe, values = listed(self.conduct.space, settings.setting, settings.seed, number, self.conduct.starts())
        return self._asked(self.conduct.explore_request(recipe, values, number))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing to learn."""


class OptunaSampler(_FromLedger, OptunaSearch):
    """One of Optuna's samplers over a study's space. algorithm: makes it, from a seed."""

    def __init__(self, conduct: Conduct, config: Config, stop: Stop, *, algorithm: Callable[[int], BaseSampler]) -> None:
        self.conduct, self.config, self.stop, self.due = conduct, config, stop, numbers_due(conduct.study)
        so_far = conduct.study.of_role("explore")
        # reopened with its first seed, a sampler would repeat its first suggestions
        seed = derive(conduct.settings.seed, "sampler", len(so_far) + len(conduct.study.cached)) % 2**32
        super().__init__(space=lambda trial: None, metric=OBJECTIVE, mode="min", sampler=algorithm(seed))
        self._fill(so_far)

    def _fill(self, so_far: Sequence[Run]) -> None:
        for run in so_far:
            if run.state in _STATES:
                self._ot_study.add_trial(self._frozen(run))
        for run in so_far:
            if run.state not in ENDED:
                self._ot_study.enqueue_trial(run.values)
        for values in self.conduct.starts():
            if all(values != run.values for run in so_far):
                self._ot_study.enqueue_trial(values)

    def _frozen(self, run: Run) -> optuna.trial.FrozenTrial:
        _, values, domains = self.conduct.space.decode(run.values, self.conduct.settings.setting)
        cannot = infeasible(run.state, run.error)
        value = math.inf if cannot else self.conduct.objective(run.metrics)
        state = _state(run.state, value, cannot)
        return optuna.trial.create_trial(
            state=state, value=value if math.isfinite(value) else None, params=values,
            distributions={name: distribution(domain) for name, domain in domains.items()},
            intermediate_values={1: value} if state == TrialState.PRUNED and math.isfinite(value) else None,
        )  # fmt: skip

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial, or FINISHED."""
        if self.stop():
            return Searcher.FINISHED
        trial = self._ot_trials[trial_id] = self._ot_study.ask()
        draw = Draw(trial, self.conduct.settings.setting.fixed)
        recipe = self.conduct.space.recipe(draw, self.conduct.settings.setting)
        return self._asked(self.conduct.explore_request(recipe, draw.values, next(self.due)))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if math.isfinite(result[OBJECTIVE]):
            super().on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna how the trial ended: a state of "running" is a trial that the scheduler stopped at a rung."""
        if trial_id in self._completed_trials or trial_id not in self._ot_trials:
            return
        self._completed_trials.add(trial_id)
        result = result or {}
        ended, value = result.get("state", "failed"), result.get(OBJECTIVE, math.inf)
        state = _state("pruned" if ended == "running" else ended, value, bool(result.get(INFEASIBLE)))
        trial = self._ot_trials[trial_id]
        # a pruned trial's value is its last report, and Tune keeps the result that stops a trial to itself
        if state == TrialState.PRUNED and math.isfinite(value):
            trial.report(value, result["training_iteration"])
        self._ot_study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)


def _state(ended: str, value: float, cannot: bool) -> TrialState:
    """What Optuna is told. cannot: the recipe is infeasible. Pruned without a report, it ranks behind all that reported
    anything: as a violated constraint would, in every version of Optuna and for every sampler."""
    if cannot:
        return TrialState.PRUNED
    return _STATES.get(ended, TrialState.FAIL) if math.isfinite(value) else TrialState.FAIL


class SurrogateSampler(_FromLedger):
    """Proposes what raylab.search.proposal does; what ran already and the study's starts come first."""

    def __init__(self, conduct: Conduct, config: Config, stop: Stop) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self.conduct, self.config, self.stop, self.due = conduct, config, stop, numbers_due(conduct.study)
        so_far = conduct.study.of_role("explore")
        known = [run.values for run in so_far]
        waiting = (run.values for run in so_far if run.state not in ENDED)
        self.first = deque([*waiting, *(start for start in conduct.starts() if start not in known)])
        self.tried: dict[str, Tried] = {}
        for run in so_far:
            if run.state in ENDED:
                self._learn(run.key, run.values, run.state, conduct.objective(run.metrics), infeasible(run.state, run.error))

    def suggest(self, trial_id: str) -> Any:
        """The config of the next trial, or FINISHED."""
        if self.stop():
            return Searcher.FINISHED
        number, setting = next(self.due), self.conduct.settings.setting
        rng = np.random.default_rng(derive(self.conduct.settings.seed, "sampler", number))
        tried = list(self.tried.values())
        values = self.first.popleft() if self.first else propose(self.conduct.space, setting, tried, rng)
        recipe, values, _ = self.conduct.space.decode(values, setting)
        self.tried[trial_id] = Tried(values=values)
        return self._asked(self.conduct.explore_request(recipe, values, number))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Learn how the trial ended: a state of "running" is a trial that the scheduler stopped at a rung."""
        if (trial := self.tried.get(trial_id)) is None or trial.loss is not None:
            return
        result = result or {}
        ended, value = result.get("state", "failed"), result.get(OBJECTIVE, math.inf)
        self._learn(trial_id, trial.values, ended, value, bool(result.get(INFEASIBLE)))

    def _learn(self, identity: str, values: Mapping[str, Any], ended: str, value: float, cannot: bool) -> None:
        """A loss, or infinity for what was stopped or cannot run; what failed otherwise is forgotten."""
        self.tried.pop(identity, None)
        if cannot or ended in ("running", "pruned"):
            self.tried[identity] = Tried(values=values, loss=math.inf)
        elif ended == "finished" and math.isfinite(value):
            self.tried[identity] = Tried(values=values, loss=value)


def _tpe(seed: int) -> TPESampler:
    # what all recipes share is drawn jointly, a policy's own knobs one by one: `group=True` would draw, at every
    # suggestion, the knobs of all policies, of which one is used; suggesting took three times as long
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


SAMPLERS: Mapping[str, Callable[[Conduct, Config, Stop], Searcher]] = {
    "tpe": partial(OptunaSampler, algorithm=_tpe),
    "gp": SurrogateSampler,
    "random": partial(OptunaSampler, algorithm=RandomSampler),
    "list": ListSampler,
}
