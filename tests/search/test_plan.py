"""What a study is about to cost: bounds that add up, measured without training anything."""

from pathlib import Path

import pytest

from raylab.data.prepared import Prepared
from raylab.errors import UserError
from raylab.search import plan as planning
from raylab.search.plan import check_room, disk_needed, plan
from tests import tiny
from tests.search.small_study import SETTING, conduct_in, replace


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_a_plan_adds_up(steps: int, data: Prepared, tmp_path: Path) -> None:
    """Also for stages that are over before the measuring is warm."""
    setting = replace(SETTING, budget_tokens=steps * 12 * 38, finetune_steps=steps)
    study, ledger = conduct_in(tmp_path / "s", data, setting=setting)
    before = ledger.path.read_bytes()
    cost = plan(study, lanes=2, parameters=800_000)
    assert (cost.trials, cost.confirmations) == (6, 21 + 9)
    assert cost.tokens == (6 + 30) * setting.budget_tokens
    assert cost.seconds_a_run > 0
    assert cost.seconds == pytest.approx([planning.START_S + (3 + n) * cost.seconds_a_run for n in (5, 15)])
    assert ledger.path.read_bytes() == before
    assert study.study.runs == {}


def test_disk_grows_with_model_and_lanes() -> None:
    assert disk_needed(1_000_000, 1) < disk_needed(1_000_000, 4) < disk_needed(9_000_000, 4)


def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    check_room(tmp_path, 1000, 1)
    with pytest.raises(UserError, match=r"GB free; this study needs about .* GB for checkpoints"):
        check_room(tmp_path, 10**15, 1)
