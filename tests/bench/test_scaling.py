"""The bench's requests and words; two lanes of Ray Train are started by `raylab bench scaling` itself."""

from pathlib import Path
from typing import Any

import pytest

from raylab.app.cli import main
from raylab.bench import scaling
from raylab.data.prepared import Preparation, prepare
from raylab.data.source import fingerprint
from raylab.recipe import Recipe, decode
from raylab.seeds import Seeds
from raylab.training.progress import Result
from raylab.trial import Execution, run_recipe

RESULT: dict[str, Any] = {
    "one_tokens_per_s": 12_623.4, "several_tokens_per_s": 22_722.1, "ratio": 1.8, "workers": 2, "rounds": 5, "cores": 2,
    "load_before": 0.1,
}  # fmt: skip


def test_a_request_is_a_run_with_tokens_and_seconds(tmp_path: Path) -> None:
    task = scaling._task()
    data = prepare(task, fingerprint(task), Preparation(vocab_size=400), tmp_path)
    assert len(data.corpus) >= 2 * 32, "a global batch is filled"
    request = scaling._request("k", task.name, 2500, 1)
    *_, result = run_recipe(decode(Recipe, request["recipe"]), Execution(data=data, seeds=Seeds(**request["seeds"])))
    assert isinstance(result, Result)
    assert result.metrics["tokens"] >= 2500
    assert set(scaling.STEPS) <= result.seconds.keys()


def test_rounds_have_seeds_of_their_own() -> None:
    one, other = (scaling._request("k", "t", 100, replicate) for replicate in (0, 1))
    assert one["seeds"] != other["seeds"] and one["recipe"] == other["recipe"]


@pytest.mark.parametrize("options", [["--rounds", "0"], ["--workers", "1"], ["--tokens", "0"]])
def test_counts_that_make_no_sense_are_told(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scaling", *options]) == 2
    assert "expected no less" in capsys.readouterr().err


@pytest.mark.parametrize(("load", "told"), [(0.1, False), (1.7, True)])
def test_it_shows_all_figures_and_a_busy_machine(load: float, told: bool, capsys: pytest.CaptureFixture[str]) -> None:
    scaling.show(RESULT | {"load_before": load})
    out = capsys.readouterr().out
    assert all(figure in out for figure in ("12,623", "22,722", "1.80", "at least 1.6"))
    assert ("1.7 of 2 cores" in out) == told
