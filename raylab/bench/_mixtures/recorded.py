"""What mixtures of the planted tasks scored, each trained for real on several seeds: a table in the place of training.

The file has a line a mixture, drawn evenly from the space that is searched. A search that proposes a mixture is answered with
the nearest one recorded.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raylab.bench._mixtures import planted
from raylab.data.prepared import Prepared
from raylab.recipe import Recipe
from raylab.search.simplex import Simplex
from raylab.seeds import Seeds, derive
from raylab.training.progress import Result
from raylab.trial import Execution, run_recipe

FILE = Path(__file__).with_name("recorded.jsonl")
MIXTURES, SEEDS = 150, 2
SIMPLEX = Simplex.of("weights", planted.SOURCES, out=0.4)
METRIC = "bits_per_label"  # less is better


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """weights_MS: of every mixture. losses_MR: its loss on dev with each seed."""

    weights_MS: NDArray[np.float64]
    losses_MR: NDArray[np.float64]

    def nearest(self, weights: Sequence[float]) -> int:
        """The mixture that differs least from these weights, in sum of squares."""
        return int(((self.weights_MS - np.asarray(weights)) ** 2).sum(axis=1).argmin())

    @property
    def means(self) -> NDArray[np.float64]:
        """The mean loss of every mixture."""
        mean: NDArray[np.float64] = self.losses_MR.mean(axis=1)
        return mean


@lru_cache(maxsize=1)
def recorded(file: Path = FILE) -> Recorded:
    """The table."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return Recorded(
        weights_MS=np.array([[row["weights"][name] for name in planted.SOURCES] for row in rows]),
        losses_MR=np.array([row["losses"] for row in rows]),
    )


def record(data: Prepared, file: Path = FILE, mixtures: int = MIXTURES) -> None:
    """Train what the file does not have yet, and append it."""
    file.touch()
    done = len(file.read_text(encoding="utf-8").splitlines())
    with file.open("a", encoding="utf-8") as table:
        for number in range(done, mixtures):
            weights = drawn(number)
            runs = [trained(planted.recipe(weights), data, Seeds.of(0, replicate)) for replicate in range(SEEDS)]
            row = {
                "weights": {name: round(weight, 6) for name, weight in weights.items()},
                "losses": [round(float(run.metrics[f"dev_{METRIC}"]), 5) for run in runs],
            }
            table.write(json.dumps(row) + "\n")
            table.flush()


def drawn(number: int) -> dict[str, float]:
    """Mixture `number` (from 0) of the table."""
    places = np.random.default_rng(derive(0, "recorded", number)).random(len(planted.SOURCES))
    return dict(zip(planted.SOURCES, SIMPLEX.proportions(places.tolist()), strict=True))


def trained(recipe: Recipe, data: Prepared, seeds: Seeds, splits: Sequence[str] = ("dev",)) -> Result:
    """Run a recipe."""
    *_, result = run_recipe(recipe, Execution(data=data, seeds=seeds, splits=splits))
    assert isinstance(result, Result)
    return result
