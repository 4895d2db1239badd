"""A study of invented arms whose scores are known, run by a runner in this process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylab.data.prepared import Prepared
from raylab.data.source import DataRequest
from raylab.data.task import TaskData
from raylab.recipe import ModelSpec, Recipe
from raylab.search.comparison.conduct import Comparing
from raylab.search.comparison.declared import Arm, Asked, At, Case, Comparison, Contrast, Grid
from raylab.search.ledger import Ledger, Study
from tests import tiny

ASKED = Asked(base=ModelSpec(), budget_tokens=1_000, finetune_steps=5)
CASES = (Case(name="first", data=DataRequest(dataset="invented")),)


def recipe(policy: str, learning_rate: float = 0.004) -> Recipe:
    """Of which small_study.FakeRunner knows the score."""
    from dataclasses import replace

    from raylab.masking.policy import Policy

    made = tiny.recipe(learning_rate=learning_rate)
    if policy == "none":
        return replace(made, stages=())
    return replace(made, stages=(replace(made.stages[0], policy=Policy.registry.get(policy)()),))  # type: ignore[type-var]


def arms(at: At) -> Mapping[str, Recipe | Grid | Arm]:
    """Three recipes; salient is best, by small_study.BITS."""
    return {name: recipe(name) for name in ("uniform", "none", "salient")}


def comparison(**fields: Any) -> Comparison:
    """A declaration, as a study's file gives it."""
    declared: dict[str, Any] = {
        "name": "invented", "path": Path("invented.py"), "question": "Which is best?", "background": "Nowhere.",
        "reference": "uniform", "seeds": 3, "x": "", "cases": lambda asked: CASES, "arms": arms, "contrasts": None,
        "derived": None,
    }  # fmt: skip
    return Comparison(**{**declared, **fields})


def comparing_in(folder: Path, seeds: int = 3, **fields: Any) -> tuple[Comparing, Ledger]:
    """A comparison in `folder`: a new one, or the one that its ledger tells."""
    folder.mkdir(parents=True, exist_ok=True)
    prepared: list[Prepared] = []

    def prepare(case: Case, request: DataRequest, base: ModelSpec) -> tuple[TaskData, Prepared]:
        if not prepared:
            prepared.append(tiny.prepared(folder.parent / "data"))
        return tiny.task(), prepared[0]

    declared, ledger = comparison(**fields), Ledger(folder)
    if not ledger.path.stat().st_size:
        told = {name: {"questions": {"test": 6}, "warnings": (), "notes": (), **_DATA} for name in ("first", "second")}
        settings = {"study": "invented", "seeds": seeds, **_SETTINGS}
        ledger.append(
            "study", name=folder.name, settings=settings, data={**_DATA, "cases": told}, environment={"command": "raylab"}
        )
    study = Study.read(folder)
    return Comparing(declared, ASKED, study, seed=0, seeds=seeds, prepare=prepare, storage=folder.parent), ledger


_DATA = {
    "name": "invented", "source": "local:/somewhere/invented", "corpus": "own", "passages": 12, "tokens": 456, "vocabulary": 400,
    "fingerprint": "0123",
}  # fmt: skip
_SETTINGS = {
    "question": "Which is best?", "background": "Nowhere.", "metric": "bits_per_answer", "seed": 0, "family": "t5",
    "scale": "tiny", "budget_tokens": 1000, "finetune_steps": 5, "batch_size": 32, "data_dir": "/somewhere",
}  # fmt: skip

__all__ = ["ASKED", "CASES", "Arm", "Contrast", "Grid", "arms", "comparing_in", "comparison", "recipe"]
