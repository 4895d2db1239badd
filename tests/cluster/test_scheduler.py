"""ASHA that goes on where it stood."""

from types import SimpleNamespace

from ray.tune.schedulers import TrialScheduler

from raylab.cluster.scheduler import RememberingASHA
from raylab.cluster.trial import OBJECTIVE, PERCENT
from raylab.search.ledger import Run


def _run(number: int, bits: float) -> Run:
    run = Run(key=f"{number:020d}", role="explore", replicate=0, trial=number, recipe={}, values={}, state="pruned")
    run.rungs.append({"fraction": 0.25, "metrics": {"dev_bits_per_answer": bits}, "time": 0.0})
    return run


def _decision(asha: RememberingASHA, bits: float) -> str:
    assert asha.set_search_properties(OBJECTIVE, "min")
    trial = SimpleNamespace(trial_id="new")
    asha.on_trial_add(None, trial)
    return str(asha.on_trial_result(None, trial, {PERCENT: 25, OBJECTIVE: bits}))


def _asha(*bits: float) -> RememberingASHA:
    runs = [_run(number, value) for number, value in enumerate(bits)]
    return RememberingASHA(runs, lambda metrics: metrics["dev_bits_per_answer"])


def test_a_first_trial_passes_where_nothing_is_known() -> None:
    assert _decision(_asha(), 99.0) == TrialScheduler.CONTINUE


def test_a_resumed_search_stops_what_the_earlier_rungs_would_have_stopped() -> None:
    earlier = (30.0, 31.0, 32.0, 33.0, 34.0, 35.0, 36.0, 37.0)
    assert _decision(_asha(*earlier), 36.5) == TrialScheduler.STOP
    assert _decision(_asha(*earlier), 30.5) == TrialScheduler.CONTINUE
