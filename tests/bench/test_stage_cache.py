"""What the bench counts, and its words; the search itself takes Ray and belongs to `raylab.bench stage_cache`."""

from pathlib import Path

import pytest

from raylab.app.cli import main
from raylab.bench import stage_cache
from raylab.recipe import encode
from raylab.search.study import Conduct


def ran(conduct: Conduct, number: int, read: float, reused: float, state: str = "finished") -> None:
    """A trial that has ended."""
    recipe, values, _ = conduct.space.decode({"learning_rate": 0.001 * (number + 1)}, conduct.settings.setting)
    request = conduct.explore_request(recipe, values, number)
    names = ("key", "role", "replicate", "trial", "values", "label")
    study = conduct.study
    study.apply({"event": "run", "time": 1.0, "recipe": encode(recipe), **{name: getattr(request, name) for name in names}})
    metrics = {"tokens": read, "reused_tokens": reused}
    study.apply({"event": "end", "time": 2.0, "key": request.key, "state": state, "metrics": metrics, "error": "no luck"})


def test_tokens_are_counted_in_beginnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conduct = stage_cache.small_study(tmp_path, 3, "hyperparameters", sampler="random")
    beginning = stage_cache.tokens(
        conduct.space.decode({}, conduct.settings.setting)[0], stage_cache.Seeds.of(0, 0), conduct.data
    )
    for number in range(3):
        ran(conduct, number, beginning if number == 0 else 0, 0 if number == 0 else beginning)
    counted = stage_cache.counted(conduct)
    assert (counted["with"], counted["without"], counted["with_tokens"]) == (1.0, 3.0, beginning)
    assert stage_cache.met(counted) and not stage_cache.met({**counted, "with": 1.3})
    stage_cache.show({**counted, "lanes": 2})
    assert "3.00 beginnings. With it" in capsys.readouterr().out.replace("\n", " ")


def test_a_trial_that_failed_is_no_measurement(tmp_path: Path) -> None:
    conduct = stage_cache.small_study(tmp_path, 1, "hyperparameters", sampler="random")
    ran(conduct, 0, 0, 0, "failed")
    with pytest.raises(RuntimeError, match="1 of 1 trials did not finish: no luck"):
        stage_cache.counted(conduct)


@pytest.mark.parametrize(("option", "number"), [("--trials", "1"), ("--lanes", "0")])
def test_a_search_too_small_is_told(option: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "stage_cache", option, number]) == 2
    assert "expected 2 trials at least" in capsys.readouterr().err
