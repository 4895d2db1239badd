"""What a study would cost, told before it begins, and what it may."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from raylab.app.console import console, duration, facts, print_json
from raylab.app.introduction import introduce
from raylab.app.opening import Opened
from raylab.cluster.runner import Placement
from raylab.search.caps import Allowance, Caps, Shared, check_smallest
from raylab.search.plan import Plan, plan
from raylab.search.predicted import between, tokens_in_words
from raylab.search.speed import UNKNOWN, Speed
from raylab.search.study import Conduct
from raylab.training.stage_cache import FOLDER as STAGES
from raylab.training.stage_cache import entries


def caps_of(args: argparse.Namespace) -> Caps:
    """The caps that were given, checked."""
    return Caps(**{name: getattr(args, name) for name in ("max_tokens", "max_hours", "max_cost", "price")})


def show_plan(opened: Opened, caps: Caps, *, as_json: bool) -> int:
    """Say what the study would cost. A cap that is too low is told as it would be by the search."""
    out = console()
    introduce(opened, out)
    cost = checked_plan(opened, caps)
    tell_plan(cost, opened, out)
    out.print(Text("Nothing was run."))
    if as_json:
        print_json({"name": opened.conduct.study.name, "plan": cost.plain()})
    return 0


def checked_plan(opened: Opened, given: Caps, speed: Speed | None = None) -> Plan:
    """The cost of what is due of a study. Unless the speed is known, a few steps are run here to see how long they take.

    Raises UserError for a cap below the smallest useful search."""
    place, caps = opened.placement, _together(opened, given)
    cost = plan(
        opened.conduct, place.lanes, opened.parameters, workers=place.most_workers, gpus=place.gpus_per_worker,
        price=caps.price, plugins=place.plugins, speed=speed, cache=shared(place),
    )  # fmt: skip
    if not opened.resumed:
        check_smallest(caps, cost.smallest, cost.devices)
    return cost


def shared(place: Placement) -> Shared | None:
    """What the cache of stages holds that the study's runs will share; None if there is to be none."""
    if not place.cache_bytes:
        return None
    found = entries(place.place_of(place.folder.parent / STAGES))
    return Shared(
        held=frozenset(entry.key for entry in found), room_bytes=max(0, place.cache_bytes - sum(entry.size for entry in found))
    )


def tell_plan(cost: Plan, opened: Opened, out: Console) -> None:
    """Print it."""
    out.print(facts(list(plan_in_words(cost, opened))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a study is predicted to cost, and what it may. new: it has not begun before."""

    plan: Plan
    caps: Caps
    new: bool

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """For the ledger. What was predicted when the study began stays."""
        if self.new:
            yield "plan", {"plan": self.plan.plain()}
        yield "limits", {"caps": self.caps.plain(), "price": self.caps.price, "devices": self.plan.devices}

    def close(self, conduct: Conduct) -> None:
        """End exploration at once if the caps have no room for a trial: no lanes need to be started for it."""
        if isinstance(conduct.allowance, Allowance) and conduct.still_due():
            conduct.allowance.close(self.plan.cheapest_trial)


def budget(opened: Opened, given: Caps, begun: float) -> Budget:
    """Predict the cost of a new study, and let it run within the caps: those given, or else those that it had before.

    begun: when the command began, by time.monotonic(). Raises UserError for a cap below the smallest useful search.
    """
    conduct, study, caps = opened.conduct, opened.conduct.study, _together(opened, given)
    timed = any(run.state == "finished" and not run.origin for run in study.runs.values())
    cost = checked_plan(opened, given, UNKNOWN if opened.resumed and timed else None)
    if caps.any:
        left_s = caps.seconds_left(study, cost.devices) - (time.monotonic() - begun)
        conduct.allowance = Allowance(
            caps, study, conduct.data, seed=conduct.settings.seed, share=cost.share, lanes=cost.lanes, seconds_left=left_s,
            run_s=cost.run_s, cache=shared(opened.placement),
        )  # fmt: skip
    return Budget(plan=cost, new=not opened.resumed, caps=caps)


def _together(opened: Opened, given: Caps) -> Caps:
    """The caps given, and for the others those that the study had before."""
    before = opened.conduct.study.limits
    known = {**before.get("caps", {}), "price": before.get("price")} if before else {}
    asked = {name: value for name, value in {**given.plain(), "price": given.price}.items() if value is not None}
    return Caps(**{**known, **asked})


def plan_in_words(cost: Plan, opened: Opened) -> Iterator[tuple[str, str]]:
    """Its figures, each with a name."""
    told: dict[str, Any] = cost.plain()
    for number, (name, part) in enumerate(told["parts"].items()):
        runs = between(part["runs"], lambda n: f"{n:,.0f}")
        yield "Plan" if not number else "", f"{name}: {runs} run{'' if part['runs'] == [1, 1] else 's'}"
    trials, tokens = told["known"]["trials"], told["known"]["tokens"]
    exact = f"; of them {tokens:,} exactly in the {trials} trials whose recipes are known" if trials else ""
    yield "Tokens", f"{between(told['tokens'], tokens_in_words)} corpus tokens{exact}"
    yield "Disk", f"{cost.disk_bytes / 1e6:,.0f} MB at most"
    if told["flops"]:
        yield "Compute", f"{between(told['flops'], lambda n: f'{n / 1e12:,.2f}')} TFLOP"
    where = "a few steps measured here, which may not be as fast as the cluster" if opened.placement.address else "a few steps"
    if cost.trouble:
        yield "Time", f"not known, as no step could be measured: {cost.trouble}"
        return
    yield "Time", f"{between(told['seconds'], duration)} on {cost.lanes} lane{'s' * (cost.lanes > 1)}, from {where}"
    if told["usd"]:
        device = "GPU" if opened.placement.gpus_per_worker else "core"
        price = f"{cost.devices:g} {device}{'s' * (cost.devices != 1)} at {cost.price:g} USD an hour"
        yield "Cost", f"{between(told['usd'], lambda n: f'{n:,.2f}')} USD: {price}"
