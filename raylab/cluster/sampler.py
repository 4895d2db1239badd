"""Who proposes recipes to Ray Tune, by the name that `--sampler` gives it; each is rebuilt from the ledger.

    gp       expected improvement over a Gaussian process that knows of noise (raylab.search.proposal): learns from the
             trials so far, and sees proportions on a simplex as what they are; `raylab bench search` and
             `raylab bench mixture_search` show it beside tpe
    tpe      Optuna's tree-structured Parzen estimator: learns, too
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

_LOSSES: Mapping[TrialState, Callable[[optuna.trial.FrozenTrial], float | None]] = {  # of a trial, as a surrogate takes it
    TrialState.COMPLETE: lambda trial: trial.value,
    TrialState.PRUNED: lambda trial: math.inf,
    TrialState.RUNNING: lambda trial: None,
}


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
    """One of Optuna's samplers over a study's space. algorithm: makes it, from a seed. proposes: whether raylab.search.proposal
    proposes in its place once the space's starts have been tried; the sampler then draws only what that leaves open."""

    def __init__(
        self, conduct: Conduct, config: Config, stop: Stop, *, algorithm: Callable[[int], BaseSampler],
        proposes: bool = False,
    ) -> None:  # fmt: skip
        self.conduct, self.config, self.stop, self.due = conduct, config, stop, numbers_due(conduct.study)
        self.proposes = proposes
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
        number, settings, space = next(self.due), self.conduct.settings, self.conduct.space
        if self.proposes and not self._ot_study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            rng = np.random.default_rng(derive(settings.seed, "sampler", number))
            proposed = propose(space, settings.setting, self._tried(), rng, trials=settings.trials)
            self._ot_study.enqueue_trial(proposed)
        trial = self._ot_trials[trial_id] = self._ot_study.ask()
        draw = Draw(trial, settings.setting.fixed)
        recipe = space.recipe(draw, settings.setting)
        return self._asked(self.conduct.explore_request(recipe, draw.values, number))

    def _tried(self) -> list[Tried]:
        """The trials so far; without those that failed, which tell nothing of their recipes."""
        trials = self._ot_study.get_trials(deepcopy=False, states=tuple(_LOSSES))
        return [Tried(values=trial.params, loss=_LOSSES[trial.state](trial)) for trial in trials]

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


def _tpe(seed: int) -> TPESampler:
    # what all recipes share is drawn jointly, a policy's own knobs one by one: `group=True` would draw, at every
    # suggestion, the knobs of all policies, of which one is used; suggesting took three times as long
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


SAMPLERS: Mapping[str, Callable[[Conduct, Config, Stop], Searcher]] = {
    "gp": partial(OptunaSampler, algorithm=RandomSampler, proposes=True),
    "tpe": partial(OptunaSampler, algorithm=_tpe),
    "random": partial(OptunaSampler, algorithm=RandomSampler),
    "list": ListSampler,
}
