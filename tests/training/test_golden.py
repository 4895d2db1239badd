"""The losses of fixed runs, step by step: a change that means to leave the numerics alone leaves these as they are.

They depend on the tokenizer's training, the order of rows, the masks, the initial weights, the models, AdamW and its
schedule, all in float32 on a CPU. A change that means to alter them raises NUMERICS_VERSION in raylab/recipe.py, and
stores the new traces: python -m tests.training.test_golden
"""

import json
import tempfile
from pathlib import Path

import pytest

from raylab.data.prepared import Prepared
from raylab.recipe import NUMERICS_VERSION
from raylab.training import loop
from tests import tiny

STORED = Path(__file__).with_name("golden_trace.json")
LEARNING_RATE = 3e-4  # low: at a high one, the rounding errors of another processor would soon be seen
TOLERANCE = 2e-4  # relative
FAMILIES = ("t5", "bart")


def losses(family: str, data: Prepared) -> list[float]:
    """30 steps of pretraining and 20 of finetuning."""
    recipe = tiny.recipe(pretrain_steps=30, finetune_steps=20, learning_rate=LEARNING_RATE, family=family)
    return [round(loss, 6) for *_, loss in tiny.traced(recipe, data).losses]


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_those_stored(family: str, data: Prepared) -> None:
    stored = json.loads(STORED.read_text())
    assert stored["numerics_version"] == NUMERICS_VERSION
    now = losses(family, data)
    assert len(now) == 50
    assert now == pytest.approx(stored[family], rel=TOLERANCE)


def main() -> None:
    loop.READ_EVERY = 1
    with tempfile.TemporaryDirectory() as folder:
        data = tiny.prepared(Path(folder))
        told = {"numerics_version": NUMERICS_VERSION, **{family: losses(family, data) for family in FAMILIES}}
    STORED.write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
