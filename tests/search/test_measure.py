"""What the runs of a study say of its recipes."""

import pytest

from raylab.search.ledger import Run
from raylab.search.measure import Measure, figures

BITS = Measure(name="bits_per_answer", higher_is_better=False)
EXACT = Measure(name="exact_match", higher_is_better=True)


def run(recipe: str, replicate: int, score: float | None, metric: str = "bits_per_answer") -> Run:
    fixed = {"role": "explore", "trial": None, "values": {}, "state": "failed" if score is None else "finished"}
    metrics = {} if score is None else {f"dev_{metric}": score}
    return Run(key=f"{recipe}{replicate}", recipe={"name": recipe}, replicate=replicate, metrics=metrics, **fixed)  # type: ignore[arg-type]


def test_one_seed_each_is_told_as_it_is() -> None:
    found = BITS.estimates([run("a", 0, 30.0), run("b", 0, 31.0), run("c", 0, None)])
    assert figures(found["a0"]) == {"score": 30.0, "score_low": None, "score_high": None, "n_seeds": 1}
    assert "c0" not in found
    assert BITS.estimates([]) == {}
    assert set(figures(None).values()) == {None}


def test_all_runs_of_a_recipe_have_its_estimate() -> None:
    levels = {"a": 30.0, "b": 31.0, "c": 33.0, "d": 36.0, "f": 34.0, "g": 32.0}
    runs = [run(r, seed, level + 0.2 * ((seed + i) % 3)) for i, (r, level) in enumerate(levels.items()) for seed in (0, 1, 2)]
    found = BITS.estimates([*runs, run("e", 0, 29.0)])
    assert found["a0"] == found["a1"] == found["a2"] and found["a0"].seeds == 3
    assert found["a0"].low is not None and found["a0"].high is not None
    assert found["a0"].low < found["a0"].score < found["a0"].high
    assert found["e0"].score > 29.0, "the best of one seed is drawn towards the others"
    lone = found["e0"]
    assert lone.low is not None and lone.high is not None and lone.high - lone.low > found["a0"].high - found["a0"].low


@pytest.mark.parametrize("measure", [BITS, EXACT])
def test_limits_stand_on_their_sides_whichever_way_is_better(measure: Measure) -> None:
    runs = [run(r, s, 0.1 * i + 0.03 * ((i + s) % 2), measure.name) for i, r in enumerate("abcde") for s in (0, 1)]
    found = measure.estimates(runs)
    assert all(one.low is not None and one.high is not None and one.low <= one.score <= one.high for one in found.values())
    assert found["a0"].score < found["c0"].score < found["e0"].score
