"""Several runs at once on a lane of one worker, for real."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from raylab.cluster.runner import LaneRunner, Placement
from raylab.recipe import Recipe
from raylab.search.ledger import Ledger, Study, read_events
from raylab.search.study import Request
from raylab.seeds import Seeds
from raylab.training.threads import one_thread
from raylab.trial import Execution, run_recipe
from tests import tiny

RECIPES = [tiny.recipe(learning_rate=rate, finetune_steps=steps) for rate, steps in ((3e-4, 6), (1e-4, 8), (2e-4, 4))]
BROKEN = tiny.recipe(pretrained="no/such/model")


def request(name: str, recipe: Recipe, number: int) -> Request:
    return Request(
        recipe=recipe, seeds=Seeds.of(0, number), role="explore", replicate=0, key=name, label=name, trial=number, stages=(),
    )  # fmt: skip


@pytest.mark.long  # lanes, and the same runs again
def test_runs_that_share_a_worker_are_those_alone(tmp_path: Path) -> None:
    data = tiny.prepared(tmp_path)
    study = Study(name=f"seats-{os.getpid()}", settings={}, data={}, environment={}, created=time.time())
    place = Placement(folder=tmp_path / "study", lanes=1, runs_per_lane=3, cache_bytes=0)
    place.folder.mkdir()
    asked = [request(f"run{number}", recipe, number) for number, recipe in enumerate(RECIPES)]
    with contextlib.closing(Ledger(place.folder)) as ledger, LaneRunner(place, data.folder, study, ledger) as runner:
        runner.run([request("broken", BROKEN, 9), *asked])
    events = read_events(place.folder / "ledger.jsonl")
    begun, ended = ([e["key"] for e in events if e["event"] == kind] for kind in ("start", "end"))
    assert set(begun[:3]) - set(ended[:1]), "they were at work at once"
    assert study.runs["broken"].state == "failed"
    for number, recipe in enumerate(RECIPES):
        with one_thread():
            *_, alone = run_recipe(recipe, Execution(data=data, seeds=Seeds.of(0, number)))
        found = study.runs[f"run{number}"]
        assert found.error is None
        assert found.metrics["dev_bits_per_answer"] == pytest.approx(alone.metrics["dev_bits_per_answer"], rel=2e-4)  # type: ignore[union-attr]
