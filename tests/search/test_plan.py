"""What a study is about to cost: exact where recipes are known, bounds that hold elsewhere, nothing trained to know it."""

import heapq
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.recipe import Recipe, decode
from raylab.registry import add_plugins
from raylab.search import plan as planning
from raylab.search.caps import Shared
from raylab.search.plan import Plan, check_room, disk_needed, plan
from raylab.search.predicted import predicted
from raylab.search.reading import Bounds, by_prefix, extremes, tokens
from raylab.search.speed import UNKNOWN, Counter, Pace, Speed
from raylab.search.study import Request, conduct
from raylab.seeds import Seeds
from tests import tiny
from tests.search.small_study import SETTING, SETTINGS, FakeRunner, conduct_in

PACE = Pace(steps={"denoise": ((1e8, 0.1), (1e10, 2.0)), "finetune": ((1e8, 0.05),)}, answer_s=0.01, start_s=0.5)
SPEED = Speed(paces={SETTINGS.setting.base: PACE})
READING = replace(SETTING, budget_tokens=12 * tiny.TOKENS_A_PASSAGE * 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


class ReadingRunner(FakeRunner):
    """Tells the tokens that runs would read, and how long they would take on lanes that begin the next when they are free."""

    def __init__(self, *args: Any, data: Prepared, lanes: int = 2, cache: set[str] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cache = cache
        self.data, self.counter = data, Counter(data)
        self.free = [planning.START_S] * lanes

    def explore(self, conduct: Any) -> None:
        super().explore(conduct)
        self._wait()

    def run(self, requests: Sequence[Request]) -> None:
        super().run(requests)
        self._wait()

    def used(self, request: Request) -> dict[str, Any]:
        work, questions = self.counter.work(request.recipe), sum(len(self.data.splits[split]) for split in request.splits)
        heapq.heapreplace(self.free, self.free[0] + work.seconds(SPEED, questions))
        return {"tokens": self._read(request), "flops": work.flops}

    def _read(self, request: Request) -> int:
        if self.cache is None:
            return tokens(request.recipe, request.seeds, self.data)
        read = sum(n for _, n in by_prefix(request.recipe, request.seeds, self.data, self.cache))
        self.cache |= set(request.stages)
        return read

    def _wait(self) -> None:
        self.free = [max(self.free)] * len(self.free)


def conducted(folder: Path, data: Prepared, cache: set[str] | None = None, **settings: Any) -> tuple[Plan, Any, ReadingRunner]:
    """A study's plan, and the study, run to its verdict. cache: the stages that stand in it, if there is one."""
    study, ledger = conduct_in(folder, data, **{"setting": READING, **settings})
    shared = None if cache is None else Shared(held=frozenset(cache), room_bytes=10**9)
    cost = plan(study, lanes=2, parameters=800_000, speed=SPEED, price=2.0, cache=shared)
    study.study.apply(ledger.append("plan", plan=cost.plain()))
    runner = ReadingRunner(ledger, study.study, data=data, cache=cache)
    assert conduct(study, nullcontext(runner)) is not None
    return cost, study.study, runner


def test_a_real_run_reads_what_was_said(data: Prepared) -> None:
    recipe = tiny.recipe(pretrain_steps=5)
    trace = tiny.traced(recipe, data)
    assert trace.result is not None
    assert trace.result.metrics["tokens"] == tokens(recipe, tiny.SEEDS, data)


def test_a_real_run_reads_what_was_said_to_its_rung(data: Prepared) -> None:
    recipe = tiny.recipe(pretrain_steps=8)
    read = 0
    for step in tiny.traced(recipe, data, rungs=(0.25,)).steps[:2]:
        read += step.corpus_tokens
    assert tokens(recipe, tiny.SEEDS, data, rung=0.25) == read


@pytest.mark.parametrize("trials", [2, 6, 9])
@pytest.mark.parametrize("seeds", [2, 5])
def test_a_plan_holds_what_a_study_uses(trials: int, seeds: int, data: Prepared, tmp_path: Path) -> None:
    cost, study, runner = conducted(tmp_path / "s", data, trials=trials, seeds=seeds)
    assert all(row.held for row in predicted(study) if row.unit in ("runs", "tokens")), predicted(study)
    assert cost.seconds.low <= max(runner.free) <= cost.seconds.high
    known = [run for run in study.of_role("explore") if (run.trial or 0) < cost.known[0]]
    assert sum(run.metrics["tokens"] for run in known) == cost.known[1]  # exact


@pytest.mark.parametrize("space", ["masking", "hyperparameters", "recipe"])
def test_a_plan_holds_where_runs_share_what_they_begin_with(space: str, data: Prepared, tmp_path: Path) -> None:
    cache: set[str] = set()
    cost, study, _ = conducted(tmp_path / "s", data, cache, space=space, trials=9)
    held = [row for row in predicted(study) if row.unit in ("runs", "tokens")]
    assert all(row.held for row in held), held
    assert 0 < cost.disk_bytes - disk_needed(800_000, 2) <= 10**9
    again, second, _ = conducted(tmp_path / "again", data, cache, space=space, trials=9)
    assert all(row.held for row in predicted(second) if row.unit in ("runs", "tokens")), predicted(second)
    assert again.known[1] == 0, "the starts stand in the cache"


def test_one_beginning_is_read_once(data: Prepared, tmp_path: Path) -> None:
    cost, study, _ = conducted(tmp_path / "s", data, set(), space="hyperparameters", trials=9)
    prefix = tokens(study_recipe(study), Seeds.of(SETTINGS.seed, 0), data)
    assert cost.parts["exploration"].tokens == Bounds.exactly(prefix) == Bounds.exactly(cost.known[1])
    assert cost.parts["selection"].tokens.high <= 5 * 1.1 * prefix, "a round has its own seeds, and all candidates begin alike"
    assert cost.share.tokens <= 3 * 1.1 * prefix


def study_recipe(study: Any) -> Recipe:
    """The first trial's."""
    return decode(Recipe, study.of_role("explore")[0].recipe)


def test_nothing_that_changes_the_reading_is_searched_so_exploration_is_exact(data: Prepared, tmp_path: Path) -> None:
    fixed = replace(READING, fixed={"target": "spans", "corpus_share": 1.0})
    cost, study, _ = conducted(tmp_path / "s", data, trials=9, setting=fixed)
    read = sum(run.metrics["tokens"] for run in study.of_role("explore"))
    assert cost.parts["exploration"].tokens == Bounds.exactly(read)


def test_a_list_is_known_to_its_end(data: Prepared, tmp_path: Path) -> None:
    study, _ = conduct_in(tmp_path / "s", data, setting=READING, sampler="list", trials=9)
    cost = plan(study, lanes=2, parameters=1, speed=SPEED)
    assert cost.known[0] == 9
    assert cost.parts["exploration"].tokens == Bounds.exactly(cost.known[1])


def test_halving_stops_some_early(data: Prepared, tmp_path: Path) -> None:
    straight = plan(conduct_in(tmp_path / "a", data, setting=READING)[0], lanes=2, parameters=1, speed=SPEED)
    halving = plan(conduct_in(tmp_path / "b", data, setting=READING, scheduler="asha")[0], lanes=2, parameters=1, speed=SPEED)
    assert halving.parts["exploration"].tokens.low < straight.parts["exploration"].tokens.low
    assert halving.parts["exploration"].tokens.high == straight.parts["exploration"].tokens.high


def test_where_no_number_is_drawn_a_trial_may_be_one_that_ran(data: Prepared, tmp_path: Path) -> None:
    fixed = {"policy": "uniform", "uniform.rate": 0.3, "learning_rate": 0.004}
    study, _ = conduct_in(tmp_path / "s", data, setting=replace(READING, fixed=fixed), trials=9)
    assert not extremes(study.space, study.settings.setting).endless
    part = plan(study, lanes=2, parameters=1, speed=SPEED).parts["exploration"]
    assert part.runs == Bounds(low=1, high=7)  # three starts that are one recipe, and six draws


def test_measuring_leaves_no_trace(data: Prepared, tmp_path: Path) -> None:
    """Also of stages that are over before the measuring is warm."""
    study, ledger = conduct_in(tmp_path / "s", data)
    before = ledger.path.read_bytes()
    cost = plan(study, lanes=2, parameters=800_000)
    assert 0 < cost.seconds.low < cost.seconds.high
    assert ledger.path.read_bytes() == before
    assert study.study.runs == {}


def test_dollars_are_devices_times_hours(data: Prepared, tmp_path: Path) -> None:
    study, _ = conduct_in(tmp_path / "s", data)
    cost = plan(study, lanes=2, workers=2, parameters=1, speed=SPEED, price=3.0)
    assert cost.usd == cost.seconds.times(4 * 3.0 / 3600)
    assert plan(study, lanes=2, parameters=1, speed=SPEED).usd is None


def test_the_extremes_of_a_space_hold_every_draw(data: Prepared, tmp_path: Path) -> None:
    study, ledger = conduct_in(tmp_path / "s", data, setting=READING, trials=40)
    runner = ReadingRunner(ledger, study.study, data=data)
    bounds = extremes(study.space, READING).tokens(Seeds.of(SETTINGS.seed, 0), data)
    runner.explore(study)
    assert all(bounds.low <= run.metrics["tokens"] <= bounds.high for run in study.study.runs.values())


def test_work_grows_with_what_is_asked(data: Prepared) -> None:
    counter = Counter(data)
    few: Recipe = tiny.recipe(pretrain_steps=2)
    many: Recipe = tiny.recipe(pretrain_steps=20)
    assert counter.work(few).flops < counter.work(many).flops
    assert counter.work(few).seconds(SPEED, 10) < counter.work(many).seconds(SPEED, 10) < counter.work(many).seconds(SPEED, 99)


ENDS = """
import os, signal
from dataclasses import dataclass

from raylab.masking.policies.uniform import Uniform


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends(Uniform):
    def draw(self, passages, rng, progress):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_policy_that_ends_its_process_ends_no_search(data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs will read is known all the same; how long they take is not."""
    monkeypatch.setattr("raylab.registry._plugin_folders", [])
    policies = tmp_path / "mine" / "masking" / "policies"
    policies.mkdir(parents=True)
    (policies / "ends.py").write_text(ENDS)
    add_plugins(tmp_path / "mine")
    study, ledger = conduct_in(tmp_path / "s", data, setting=replace(READING, policies=("uniform", "ends")))
    cost = plan(study, lanes=2, parameters=1, plugins=(str(tmp_path / "mine"),), price=2.0)
    assert cost.trouble == "the process that tried was ended by SIGKILL"
    assert [cost.plain()[what] for what in ("flops", "seconds", "usd")] == [None, None, None]
    study.study.apply(ledger.append("plan", plan=cost.plain()))
    assert {row.unit for row in predicted(study.study)} == {"runs", "tokens"}
    assert cost.tokens.low > 0 and cost.known[1] > 0


def test_where_no_speed_is_asked_for_no_policy_is_tried(data: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a study that is gone on with: what it reads is known all the same."""
    study, _ = conduct_in(tmp_path / "s", data, setting=READING)
    known = plan(study, lanes=2, parameters=1, speed=SPEED)
    monkeypatch.setattr(Counter, "_counted", lambda *_: pytest.fail("a stage was tried"))
    unknown = plan(study, lanes=2, parameters=1, speed=UNKNOWN)
    assert (unknown.tokens, unknown.share.tokens) == (known.tokens, known.share.tokens)
    assert unknown.plain()["flops"] is None


def test_disk_grows_with_model_and_lanes() -> None:
    assert disk_needed(1_000_000, 1) < disk_needed(1_000_000, 4) < disk_needed(9_000_000, 4)


def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    check_room(tmp_path, 1000, 1)
    with pytest.raises(UserError, match=r"GB free; this study needs about .* GB for checkpoints"):
        check_room(tmp_path, 10**15, 1)
