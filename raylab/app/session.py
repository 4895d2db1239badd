"""One search at work: ledger, lanes, tracking and display put together; then verdict, report and what to do next."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from rich.console import Console
from rich.text import Text

from raylab.app.console import console, launcher, print_json
from raylab.app.display import Display
from raylab.app.environment import commit
from raylab.app.introduction import introduce
from raylab.app.joining import agreed, joined
from raylab.app.opening import Opened
from raylab.app.outcome import plain, show_cost, show_next, show_verdict, storage_of, storage_option
from raylab.app.planning import Budget, budget, tell_plan
from raylab.app.steps import Teller
from raylab.cluster.attempt import COMPLETE, LaneLostError
from raylab.cluster.runner import LaneRunner, Placement
from raylab.cluster.tracking import Mirror
from raylab.errors import Halted, UserError
from raylab.masking.policy import Policy
from raylab.masking.preview import preview_corpus
from raylab.recipe import Recipe, decode
from raylab.search import report
from raylab.search.caps import Caps
from raylab.search.ledger import Ledger, Run, Study
from raylab.search.study import Conduct, conduct
from raylab.search.upkeep import Upkeep, ended

MASKED_PASSAGES = 6  # shown for every policy in the report
CLOSE_TRACKING_S = 20.0
INTERRUPTED = 130  # exit code


def search(opened: Opened, begun: float, *, caps: Caps, quiet: bool, as_json: bool, ask: bool = False) -> int:
    """Run what is due of the study; exit code 0 with a verdict, 1 if nothing finished, 130 if interrupted. ask: show what it
    would cost first, and begin only if the person at the terminal agrees."""
    out = Console(quiet=True) if quiet else console()
    introduce(opened, out)
    costs = budget(opened, caps, begun)
    if ask:
        tell_plan(costs.plan, opened, console())
        if not agreed():
            console().print(Text("Nothing was run."))
            return 0
    with joined(opened.cluster, opened.placement) if opened.cluster else contextlib.nullcontext():
        return _search(opened, costs, begun, out, quiet=quiet, as_json=as_json)


def _search(opened: Opened, costs: Budget, begun: float, out: Console, *, quiet: bool, as_json: bool) -> int:
    folder = opened.placement.folder
    folder.mkdir(parents=True, exist_ok=opened.resumed)
    upkeep = Upkeep(opened.placement.place_of(folder), ended(opened.conduct.study), tell=lambda text: out.print(Text(text)))
    with alone(folder), upkeep, _ledger(opened, costs) as ledger:
        _learn(opened, ledger, out)
        share_data(opened.placement, opened.conduct.data.folder, out)
        mirror = Mirror(folder, opened.tracking_uri, folder.parent / "artifacts")
        mirror.start()
        try:
            status = _run(opened, ledger, upkeep, quiet)
        except KeyboardInterrupt:
            ledger.append("interrupted")
            status = INTERRUPTED
        except (Halted, LaneLostError) as fault:
            raise Halted(f"{fault} The study keeps what it told so far. Once that is mended: {_resume(opened)}") from fault
        finally:
            page = _report(opened)
            flush = mirror.close(CLOSE_TRACKING_S)
    _conclude(opened, status, page, out)
    if not flush.complete:
        out.print(Text(flush.line))
    if upkeep.trouble:
        out.print(Text(upkeep.trouble))
    if as_json:
        print_json(plain(opened, mirror.run_id, page, time.monotonic() - begun))
    return status


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A ledger has one writer. The lock goes with the process, however that ends."""
    lock = FileLock(folder / "search.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder.name} is being run by another process. Wait for it, or stop it first.") from None
    with lock:
        yield


def _learn(opened: Opened, ledger: Ledger, out: Console) -> None:
    """The policies that the study learns itself, before its trials."""
    from raylab.training.threads import one_thread

    conduct = opened.conduct
    with one_thread():
        for lesson in (lesson for lesson in conduct.lessons if lesson.due(conduct.study)):
            out.print(Text(f"Learning the policy {lesson.name!r}: {lesson.tokens:,.0f} tokens to read"))
            teller = Teller(out)
            for step in lesson.run(conduct.data, conduct.study, ledger):
                teller(step)


@contextlib.contextmanager
def _ledger(opened: Opened, costs: Budget) -> Iterator[Ledger]:
    """The study's ledger, begun or gone on with."""
    study, ledger = opened.conduct.study, Ledger(opened.placement.folder)
    if opened.resumed:
        study.apply(ledger.append("resumed", commit=commit()))
    else:
        parent = {"parent": study.parent} if study.parent else {}
        told = {"settings": study.settings, "data": study.data, "environment": study.environment, **parent}
        ledger.append("study", name=study.name, **told)
        for event, fields in opened.taken:
            ledger.append(event, **fields)
    for event, fields in costs.events():
        study.apply(ledger.append(event, **fields))
    costs.close(opened.conduct)
    with contextlib.closing(ledger):
        yield ledger


def share_data(placement: Placement, data: Path, out: Console) -> None:
    """With a bucket, lanes bring the data from there; elsewhere they open them where they lie."""
    place = placement.place_of(data)
    if place.bucket:
        out.print(Text(f"Taking the data to {place}, as far as they are not there."))
        place.push(last=COMPLETE, keyed=True)


def _run(opened: Opened, ledger: Ledger, upkeep: Upkeep, quiet: bool) -> int:
    study, place = opened.conduct.study, opened.placement
    with Display(opened.conduct, place.lanes, quiet=quiet) as display:
        runner = LaneRunner(place, opened.conduct.data.folder, study, ledger, on_change=display, upkeep=upkeep)
        verdict = conduct(opened.conduct, runner)
    for phase, reason in opened.conduct.capped().items():
        study.apply(ledger.append("capped", phase=phase, reason=reason))
    if verdict is None:
        return 1
    study.apply(ledger.append("verdict", verdict=verdict))
    return 0


def _masks(conduct: Conduct) -> dict[str, Sequence[Sequence[tuple[str, bool]]]]:
    """What every policy that finished hides in a few passages, one draw, with the knobs it did best with."""
    corpus = conduct.data.corpus
    chosen_R = np.sort(np.random.default_rng(0).choice(len(corpus), size=min(MASKED_PASSAGES, len(corpus)), replace=False))
    policies: dict[str, Policy] = {}
    for run in reversed(conduct.explored()):  # the best last
        policies |= {_name(stage.policy): stage.policy for stage in decode(Recipe, run.recipe).stages if hasattr(stage, "policy")}
    return {name: preview_corpus(policy, corpus, chosen_R, 0) for name, policy in policies.items()}


def _name(policy: Policy) -> str:
    """As the study names it: a learned one by how it was learned."""
    return getattr(policy, "learner", "") or policy.name()


def _report(opened: Opened) -> str:
    """Where the report was written, or why it was not."""
    try:
        return str(report.write(opened.placement.folder, _masks(opened.conduct)))
    except OSError as error:
        return f"not written: {error.strerror}. `raylab report {opened.conduct.study.name}` writes it."


def _resume(opened: Opened) -> str:
    """The command that goes on with the study."""
    where = storage_option(storage_of(opened))
    return f"{launcher()} search --resume {opened.conduct.study.name}{where}"


def _conclude(opened: Opened, status: int, page: str, out: Console) -> None:
    study = opened.conduct.study
    if status == 0:
        show_verdict(study, out)
    elif status == INTERRUPTED:
        out.print(Text(f"\nInterrupted. Go on with: {_resume(opened)}"), soft_wrap=True)
    else:
        out.print(Text(f"\nNothing finished: {_commonest_reason(study)}."))
    show_cost(study, out)
    show_next(opened, out, page)


def _commonest_reason(study: Study) -> str:
    """Why trials came to nothing: "no memory (2 of 3 trials)"."""
    explored = study.of_role("explore")
    reasons = Counter(
        run.error.strip().splitlines()[-1] if run.error and run.error.strip() else _without_error(run) for run in explored
    )
    if not reasons:
        return "no trial was run"
    reason, times = reasons.most_common(1)[0]
    return f"{reason} ({times} of {len(explored)} trials)"


def _without_error(run: Run) -> str:
    return "its score is not a number" if run.state == "finished" else run.state
