"""One search at work: ledger, lanes, tracking and display put together; then verdict, report and what to do next."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.text import Text

from raylab.app.console import console, print_json
from raylab.app.display import Display
from raylab.app.opening import Opened
from raylab.app.outcome import plain, show_next, show_verdict
from raylab.cluster.runner import LaneRunner
from raylab.cluster.tracking import Mirror
from raylab.masking.policy import Policy
from raylab.masking.preview import preview
from raylab.recipe import Recipe, decode
from raylab.search import report
from raylab.search.ledger import Ledger
from raylab.search.plan import plan
from raylab.search.study import Conduct, conduct

MASKED_PASSAGES = 6  # shown for every policy in the report
CLOSE_TRACKING_S = 20.0


def show_plan(opened: Opened) -> int:
    """Say what the study would cost, from a few steps measured here."""
    out = console()
    introduce(opened, out)
    cost = plan(opened.conduct, opened.placement.lanes)
    out.print(Text(f"Plan: {cost.trials} trials and up to {cost.confirmations} runs for the verdict,"))
    out.print(Text(f"      at most {cost.tokens:,} corpus tokens ({cost.seconds_a_run:.0f} s a run, measured over a few steps),"))
    out.print(Text(f"      about {cost.seconds / 60:.1f} minutes on {opened.placement.lanes} lanes, {cost.disk_bytes / 1e6:,.0f} MB of disk."))
    out.print(Text("Nothing was run."))
    return 0


def introduce(opened: Opened, out: Console) -> None:
    """What the study is about to do, and what it rests on."""
    conduct, place, data = opened.conduct, opened.placement, opened.conduct.study.data
    settings, base = conduct.settings, conduct.settings.setting.base
    for warning in data["warnings"]:
        out.print(Text(f"Warning: {warning}", style="yellow"))
    questions = ", ".join(f"{n:,} {split}" for split, n in data["questions"].items())
    out.print(Text(f"Data:  {data['name']} ({data['source']}): questions {questions}; {data['passages']:,} passages, {data['tokens']:,} tokens"))
    for note in data["notes"]:
        out.print(Text(f"       {note}"))
    origin = base.pretrained or f"random weights, {base.family}-like, scale {base.scale}"
    out.print(Text(f"Model: {opened.parameters / 1e6:.1f}M parameters ({origin}), {base.precision}"))
    out.print(Text(f"Study: {conduct.study.name}, seed {settings.seed}: {settings.trials} trials over {', '.join(settings.setting.policies)};"))
    out.print(Text(f"       then the winner, {conduct.space.baseline_family} with all else equal, the best {conduct.space.baseline_family} found and no"))
    out.print(Text(f"       pretraining on {settings.seeds} fresh paired seeds and the test split. Decides: {settings.metric.replace('_', ' ')}."))
    out.print(Text(f"Where: {place.lanes} lanes of {place.workers_per_lane} worker{'s' * (place.workers_per_lane > 1)}, results in {place.folder}"))


def search(opened: Opened, begun: float, *, time_budget_s: float | None, quiet: bool, as_json: bool) -> int:
    """Run what is due of the study; exit code 0 with a verdict, 1 if nothing finished, 130 if interrupted."""
    out = Console(quiet=True) if quiet else console()
    introduce(opened, out)
    folder, study = opened.placement.folder, opened.conduct.study
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder)
    if opened.resumed:
        ledger.append("resumed")
    else:
        ledger.append("study", name=study.name, settings=study.settings, data=study.data, environment=study.environment)
    mirror = Mirror(folder, opened.tracking_uri, folder.parent / "artifacts")
    mirror.start()
    try:
        status = _run(opened, ledger, out, _stopper(opened.conduct, begun, time_budget_s), quiet)
    except KeyboardInterrupt:
        ledger.append("interrupted")
        status = 130
    finally:
        ledger.close()
        page = report.write(folder, _masks(opened.conduct))
        flush = mirror.close(CLOSE_TRACKING_S)
    _conclude(opened, status, str(page), out)
    if not flush.complete:
        out.print(Text(flush.line))
    if as_json:
        _print_json(opened, mirror.run_id, str(page), time.monotonic() - begun)
    return status


def _run(opened: Opened, ledger: Ledger, out: Console, stop: Callable[[], bool], quiet: bool) -> int:
    study = opened.conduct.study
    display = Display(opened.conduct, quiet=quiet)
    with LaneRunner(opened.placement, opened.conduct.data.folder, study, ledger, on_change=display, stop=stop) as runner, display:
        verdict = conduct(opened.conduct, runner)
    if verdict is None:
        return 1
    study.apply(ledger.append("verdict", verdict=verdict))
    return 0


def _stopper(conduct: Conduct, begun: float, budget_s: float | None) -> Callable[[], bool]:
    """True once the verdict needs what is left of the time budget: its runs, at the pace so far."""

    def stop() -> bool:
        if budget_s is None:
            return False
        took = [run.ended - run.started for run in conduct.study.of_role("explore") if run.ended and run.started]
        verdict_s = max(took, default=0.0) * conduct.settings.seeds * COMPARED
        return time.monotonic() - begun + verdict_s + max(took, default=0.0) > budget_s and bool(took)

    return stop


def _masks(conduct: Conduct) -> dict[str, Sequence[Sequence[tuple[str, bool]]]]:
    """What every policy of the study hides in a few passages, one draw, with the knobs it did best with."""
    corpus = conduct.data.corpus.texts()
    chosen = np.random.default_rng(0).choice(len(corpus), size=min(MASKED_PASSAGES, len(corpus)), replace=False)
    texts = [corpus[i] for i in sorted(chosen)]
    policies: dict[str, Policy] = {name: Policy.registry.get(name)() for name in conduct.settings.setting.policies}
    for run in reversed(conduct.explored()):
        stages = decode(Recipe, run.recipe).stages
        policies |= {stage.policy.name(): stage.policy for stage in stages if hasattr(stage, "policy")}
    return {name: preview(policy, texts, conduct.data.tokenizer, 0, context=corpus) for name, policy in policies.items()}


def _conclude(opened: Opened, status: int, page: str, out: Console) -> None:
    study = opened.conduct.study
    if status == 0:
        show_verdict(study, out)
    elif status == 130:
        out.print(Text(f"Interrupted. Go on with: raylab search --resume {study.name}"))
    else:
        reasons = sorted({run.error.strip().splitlines()[-1] for run in study.runs.values() if run.error})
        out.print(Text(f"Nothing finished: {'; '.join(reasons) or 'no trial was run'}."))
    show_next(opened, out, page)


def _print_json(opened: Opened, run_id: str | None, page: str, seconds: float) -> None:
    print_json(plain(opened, run_id, page, seconds))
