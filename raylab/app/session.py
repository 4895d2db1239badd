"""One search at work: ledger, lanes, tracking and display put together; then verdict, report and what to do next."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from rich.console import Console
from rich.text import Text

from raylab.app.console import console, launcher, print_json
from raylab.app.display import Display
from raylab.app.introduction import introduce
from raylab.app.opening import Opened
from raylab.app.outcome import plain, show_next, show_verdict, storage_option
from raylab.cluster.attempt import LaneLostError
from raylab.cluster.runner import LaneRunner
from raylab.cluster.tracking import Mirror
from raylab.errors import Halted, UserError
from raylab.masking.policy import Policy
from raylab.masking.preview import preview_corpus
from raylab.recipe import Recipe, decode
from raylab.search import report
from raylab.search.ledger import Ledger
from raylab.search.plan import COMPARED
from raylab.search.study import Conduct, conduct

MASKED_PASSAGES = 6  # shown for every policy in the report
CLOSE_TRACKING_S = 20.0


def search(opened: Opened, begun: float, *, time_budget_s: float | None, quiet: bool, as_json: bool) -> int:
    """Run what is due of the study; exit code 0 with a verdict, 1 if nothing finished, 130 if interrupted."""
    folder = opened.placement.folder
    out = Console(quiet=True) if quiet else console()
    introduce(opened, out)
    folder.mkdir(parents=True, exist_ok=opened.resumed)
    with _alone(folder), _ledger(opened) as ledger:
        mirror = Mirror(folder, opened.tracking_uri, folder.parent / "artifacts")
        mirror.start()
        try:
            status = _run(opened, ledger, _stopper(opened, begun, time_budget_s), quiet)
        except KeyboardInterrupt:
            ledger.append("interrupted")
            status = 130
        except (Halted, LaneLostError) as fault:
            raise Halted(f"{fault} The study keeps what it told so far. Once that is mended: {_resume(opened)}") from fault
        finally:
            page = _report(opened)
            flush = mirror.close(CLOSE_TRACKING_S)
    _conclude(opened, status, page, out)
    if not flush.complete:
        out.print(Text(flush.line))
    if as_json:
        print_json(plain(opened, mirror.run_id, page, time.monotonic() - begun))
    return status


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """A ledger has one writer. The lock goes with the process, however that ends."""
    lock = FileLock(folder / "search.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder.name} is being run by another process. Wait for it, or stop it first.") from None
    with lock:
        yield


@contextlib.contextmanager
def _ledger(opened: Opened) -> Iterator[Ledger]:
    """The study's ledger, begun or gone on with."""
    study, ledger = opened.conduct.study, Ledger(opened.placement.folder)
    if opened.resumed:
        ledger.append("resumed")
    else:
        ledger.append("study", name=study.name, settings=study.settings, data=study.data, environment=study.environment)
    with contextlib.closing(ledger):
        yield ledger


def _run(opened: Opened, ledger: Ledger, stop: Callable[[], bool], quiet: bool) -> int:
    study, place = opened.conduct.study, opened.placement
    with Display(opened.conduct, place.lanes, quiet=quiet) as display:
        runner = LaneRunner(place, opened.conduct.data.folder, study, ledger, on_change=display, stop=stop)
        verdict = conduct(opened.conduct, runner)
    if verdict is None:
        return 1
    study.apply(ledger.append("verdict", verdict=verdict))
    return 0


def _stopper(opened: Opened, begun: float, budget_s: float | None) -> Callable[[], bool]:
    """True once one more trial would not leave the verdict its time: its runs, each as long as the longest so far."""
    study, place = opened.conduct.study, opened.placement
    rounds = -(-opened.conduct.settings.seeds * COMPARED // place.lanes)

    def stop() -> bool:
        took = [run.ended - run.started for run in study.of_role("explore") if run.ended and run.started]
        return budget_s is not None and bool(took) and time.monotonic() - begun + (1 + rounds) * max(took) > budget_s

    return stop


def _masks(conduct: Conduct) -> dict[str, Sequence[Sequence[tuple[str, bool]]]]:
    """What every policy that finished hides in a few passages, one draw, with the knobs it did best with."""
    corpus = conduct.data.corpus
    chosen_R = np.sort(np.random.default_rng(0).choice(len(corpus), size=min(MASKED_PASSAGES, len(corpus)), replace=False))
    policies: dict[str, Policy] = {}
    for run in reversed(conduct.explored()):  # the best last
        stages = decode(Recipe, run.recipe).stages
        policies |= {stage.policy.name(): stage.policy for stage in stages if hasattr(stage, "policy")}
    return {name: preview_corpus(policy, corpus, chosen_R, 0) for name, policy in policies.items()}


def _report(opened: Opened) -> str:
    """Where the report was written, or why it was not."""
    try:
        return str(report.write(opened.placement.folder, _masks(opened.conduct)))
    except OSError as error:
        return f"not written: {error.strerror}. `raylab report {opened.conduct.study.name}` writes it."


def _resume(opened: Opened) -> str:
    """The command that goes on with the study."""
    where = storage_option(opened.placement.folder.parent)
    return f"{launcher()} search --resume {opened.conduct.study.name}{where}"


def _conclude(opened: Opened, status: int, page: str, out: Console) -> None:
    study = opened.conduct.study
    if status == 0:
        show_verdict(study, out)
    elif status == 130:
        out.print(Text(f"\nInterrupted. Go on with: {_resume(opened)}"), soft_wrap=True)
    else:
        reasons = sorted({run.error.strip().splitlines()[-1] for run in study.runs.values() if run.error})
        out.print(Text(f"\nNothing finished: {'; '.join(reasons) or 'no trial was run'}."))
    show_next(opened, out, page)
