"""What a study's file declares, one each in experiments/ (or `--study-file FILE.py`).

A study file's docstring is its question, in the first line, and where that comes from. It defines

    cases(asked) -> Sequence[Case]                   the data, and the base model, that the question is asked of
    arms(at) -> Mapping[str, Recipe | Grid | Arm]    what is compared in a case with one seed, by label
    REFERENCE: str                                   the arm that the others are compared with

and may define

    contrasts(case, labels) -> Sequence[Contrast]    the pairs of arms that answer it; else each against REFERENCE
    SEEDS: int                                       how many paired seeds it takes unless --seeds says otherwise
    derived(results) -> Sequence[Section]            tables of figures made of the scores (raylab.search.comparison.derived)
    X: str                                           what the numbers `Case.x` count, for curves instead of bars

`arms` is asked for every seed, so that what an arm needs that is learned itself can be learned anew with each. Labels and
their order must not depend on the seed.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raylab.data.prepared import Prepared
from raylab.data.source import DataRequest
from raylab.data.task import TaskData
from raylab.errors import UserError, unknown
from raylab.masking.policy import Policy
from raylab.models.rates import finetuning_rate, pretraining_rates
from raylab.recipe import ModelSpec, Recipe, Stage
from raylab.registry import load_file
from raylab.search.shipped import shipped
from raylab.seeds import Seeds
from raylab.stages.denoise import Denoise
from raylab.stages.finetune import Finetune
from raylab.training.optimizer import Optimization

DEFAULT_SEEDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a person asked of a study: options that its file may follow. datasets: none for the study's own choice.
    limits: fields of a DataRequest that hold for all data."""

    base: ModelSpec
    budget_tokens: int
    finetune_steps: int
    batch_size: int = 32
    datasets: tuple[str, ...] = ()
    data_dir: Path | None = None
    corpus: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)

    def data(self, dataset: str, *, corpus: str | None = None) -> DataRequest:
        """A request for a dataset, with a corpus that the person may overrule, where and as far as they wished to read it."""
        return DataRequest(dataset=dataset, data_dir=self.data_dir, corpus=self.corpus or corpus, **self.limits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Data on which all arms are compared. metric: the measure that compares them, or else their family's first. kinds: only
    examples of these kinds (`Example.kind`); all if none is named. tokenizer_of: data through whose tokenizer it is read, so
    that what was learned on those can be used here; None for its own. sources: the tasks that may be learned before it. base:
    None for that of the options. x: where it stands on a curve. tags: anything that `arms` needs to know of it."""

    name: str
    data: DataRequest
    metric: str = ""
    kinds: tuple[str, ...] = ()
    tokenizer_of: DataRequest | None = None
    sources: tuple[str, ...] = ()
    base: ModelSpec | None = None
    x: float | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Recipes of which the best on dev, with a seed that no comparison uses, is the arm."""

    recipes: tuple[Recipe, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A recipe or a grid on other data than its case's, with the same examples in dev and test: another corpus, say."""

    recipe: Recipe | Grid
    data: DataRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """A pair of arms whose difference is tested."""

    arm: str
    against: str


Prepare = Callable[[Case, DataRequest, ModelSpec], tuple[TaskData, Prepared]]


@dataclass(frozen=True, kw_only=True, slots=True)
class At:
    """A case and a seed for which arms are wanted. replicate: 0 where grids are chosen from, then 1, 2, ... prepare: loads
    data as a case reads them, and makes them ready for a base model. storage: where products are kept. tell: says to the
    person at the terminal what takes long."""

    case: Case
    replicate: int
    seeds: Seeds
    asked: Asked
    storage: Path
    prepare: Prepare
    tell: Callable[[str], None]

    @property
    def base(self) -> ModelSpec:
        """The base model of the case."""
        return self.case.base or self.asked.base

    @property
    def data(self) -> Prepared:
        """The case's data, ready for its base model."""
        return self.data_of(self.case)

    def data_of(self, case: Case) -> Prepared:
        """The data of another case, ready for its base model."""
        return self.prepare(case, case.data, case.base or self.asked.base)[1]

    def recipe(self, *stages: Stage, base: ModelSpec | None = None, **finetune: Any) -> Recipe:
        """These stages, then finetuning for as long as was asked, a checkpoint more slowly than random weights or a head alone.
        base: another base model than the case's, that reads the same data. finetune: other fields of it."""
        base = base or self.base
        usual = Finetune(steps=self.asked.finetune_steps, batch_size=self.asked.batch_size)
        if finetune.get("mode", usual.mode) == "full":
            usual = replace(usual, optimization=replace(usual.optimization, learning_rate=finetuning_rate(base)))
        return Recipe(base=base, stages=stages, task=self.data.task, finetune=replace(usual, **finetune))

    @property
    def reading(self) -> dict[str, Any]:
        """How a stage of pretraining reads: what was asked, as fast as models like the case's are usually pretrained."""
        return {
            "budget_tokens": self.asked.budget_tokens, "batch_size": self.asked.batch_size,
            "optimization": Optimization(learning_rate=pretraining_rates(self.base).usual),
        }  # fmt: skip

    def masked(self, policy: Policy, **fields: Any) -> Recipe:
        """Intermediate pretraining under a policy, on the tokens that were asked, then finetuning. fields: of the stage."""
        return self.recipe(Denoise(policy=policy, **{**self.reading, **fields}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A loaded study file; see the module's docstring for what each function gives. question: the docstring's first line;
    background: the rest of it."""

    name: str
    path: Path
    question: str
    background: str
    reference: str
    seeds: int
    x: str
    cases: Callable[[Asked], Sequence[Case]]
    arms: Callable[[At], Mapping[str, "Recipe | Grid | Arm"]]
    contrasts: Callable[[Case, Sequence[str]], Sequence[Contrast]] | None
    derived: Callable[[Any], Sequence[Any]] | None

    def pairs(self, case: Case, labels: Sequence[str]) -> list[Contrast]:
        """The contrasts of a case, of which every arm is there. Raises UserError for one that names no arm."""
        against_reference = [Contrast(arm=label, against=self.reference) for label in labels if label != self.reference]
        found = list(self.contrasts(case, labels)) if self.contrasts else against_reference
        for label in (label for contrast in found for label in (contrast.arm, contrast.against)):
            if label not in labels:
                raise unknown(f"arm in the contrasts of {self.path.name}", label, labels)
        return found


def comparison_names() -> tuple[str, ...]:
    """The studies that ship with raylab."""
    return tuple(sorted(p.stem for p in shipped("experiments").glob("*.py") if not p.stem.startswith("_")))


def load_comparison(name: str, file: Path | None = None) -> Comparison:
    """A study by name, or from `file`. Raises UserError for an unknown name or a file that lacks something."""
    if file is None and name not in comparison_names():
        raise unknown("study", name, comparison_names(), "A file of your own is given by --study-file FILE.py.")
    path = file or shipped("experiments") / f"{name}.py"
    if not path.is_file():
        raise UserError(f"--study-file {path} is no file. Give a Python file that defines cases(asked) and arms(at).")
    module = load_file(path, f"raylab_studies.{path.stem}")
    missing = [wanted for wanted in ("__doc__", "cases", "arms", "REFERENCE") if not getattr(module, wanted, None)]
    if missing:
        told = ", ".join("its docstring, the question" if name == "__doc__" else name for name in missing)
        raise UserError(f"{path} lacks {told}; see raylab/search/comparison/declared.py for what a study file defines.")
    question, _, background = inspect.cleandoc(str(module.__doc__)).partition("\n")
    return Comparison(
        name=path.stem, path=path, question=question.strip(), background=background.strip(), reference=module.REFERENCE,
        seeds=getattr(module, "SEEDS", DEFAULT_SEEDS), x=getattr(module, "X", ""), cases=module.cases, arms=module.arms,
        contrasts=getattr(module, "contrasts", None), derived=getattr(module, "derived", None),
    )  # fmt: skip
