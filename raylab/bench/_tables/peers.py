"""What is usually done: every run explores, and the best observed is recommended and reported."""

import numpy as np
import optuna

from raylab.bench._tables.study import Found
from raylab.bench._tables.table import Table

optuna.logging.set_verbosity(optuna.logging.WARNING)


def tpe(table: Table, seed: int, budget: int) -> Found:
    """Optuna's TPE with its defaults."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    rng, positions = np.random.default_rng([seed, 1]), []

    def objective(trial: optuna.Trial) -> float:
        position = tuple(
            trial.suggest_int(f"choice{i}", 0, size - 1) if ordered
            else trial.suggest_categorical(f"choice{i}", tuple(range(size)))
            for i, (size, ordered) in enumerate(zip(table.sizes, table.ordered, strict=True))
        )  # fmt: skip
        positions.append(position)
        return _run(table, position, rng)

    study.optimize(objective, n_trials=budget)
    return Found(true=table.true(positions[study.best_trial.number]), reported=study.best_value, runs=budget)


def random(table: Table, seed: int, budget: int) -> Found:
    """Independent draws."""
    rng = np.random.default_rng([seed, 2])
    positions = [tuple(int(rng.integers(size)) for size in table.sizes) for _ in range(budget)]
    losses = [_run(table, position, rng) for position in positions]
    best = int(np.argmin(losses))
    return Found(true=table.true(positions[best]), reported=losses[best], runs=budget)


def _run(table: Table, position: tuple[int, ...], rng: np.random.Generator) -> float:
    return table.drawn(position, int(rng.integers(2**31)))
