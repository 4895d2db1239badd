"""The losses of one fixed run, step by step: a change that means to leave the numerics alone leaves these as they are.

They depend on the tokenizer's training, the order of rows, the masks, the initial weights, the model, AdamW and its
schedule, all in float32 on a CPU. A change that means to alter them raises NUMERICS_VERSION in raylab/recipe.py, and
stores the new trace: python -m tests.training.test_golden
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.recipe import NUMERICS_VERSION
from raylab.training import loop
from tests import tiny

STORED = Path(__file__).with_name("golden_trace.json")
TOLERANCE = 2e-4  # relative: other processors add in another order, and 50 steps carry that on


def trace(data: Prepared) -> dict[str, Any]:
    """30 steps of pretraining and 20 of finetuning."""
    run = tiny.traced(tiny.recipe(pretrain_steps=30, finetune_steps=20), data)
    return {"numerics_version": NUMERICS_VERSION, "losses": [round(loss, 6) for _, _, loss in run.losses]}


def test_losses_are_those_stored(data: Prepared) -> None:
    stored, now = json.loads(STORED.read_text()), trace(data)
    assert now["numerics_version"] == stored["numerics_version"]
    assert len(now["losses"]) == 50
    assert now["losses"] == pytest.approx(stored["losses"], rel=TOLERANCE)


def main() -> None:
    loop.READ_EVERY = 1
    with tempfile.TemporaryDirectory() as folder:
        STORED.write_text(json.dumps(trace(tiny.prepared(Path(folder))), indent=1) + "\n")


if __name__ == "__main__":
    main()
