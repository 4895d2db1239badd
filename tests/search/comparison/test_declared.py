"""Study files: what they declare, and every one that ships."""

import inspect
import sys
from pathlib import Path

import pytest

from raylab.data.prepared import Prepared
from raylab.data.source import DataRequest
from raylab.data.task import TaskData
from raylab.errors import UserError
from raylab.masking.policies.learned import Learned
from raylab.recipe import ModelSpec, Recipe, decode, encode
from raylab.search.comparison.declared import Arm, Asked, At, Case, Grid, comparison_names, load_comparison
from raylab.seeds import Seeds
from tests import tiny

ASKED = Asked(base=ModelSpec(), budget_tokens=1_000, finetune_steps=5)
NEEDED = "cases(asked)", "arms(at)", "REFERENCE"


def _written(folder: Path, text: str) -> Path:
    path = folder / "mine.py"
    path.write_text(text)
    sys.modules.pop("raylab_studies.mine", None)
    return path


@pytest.mark.parametrize("name", comparison_names())
def test_every_study_declares_a_question_and_arms_that_fit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the data that a fresh machine has. What arms learn is not learned here."""
    study = load_comparison(name)
    assert study.question and study.background, "the docstring's first line is the question; where it comes from follows"
    module = sys.modules[f"raylab_studies.{name}"]
    if hasattr(module, "learned"):
        monkeypatch.setattr(module, "learned", lambda at, how, data=None: Learned(product=type(how).__name__))
    cases = study.cases(ASKED)
    assert len({case.name for case in cases}) == len(cases) > 0
    assert all(request.dataset.startswith("atlas") for case in cases for request in [case.data]), "needs no network"
    for case in cases:
        arms = {seed: study.arms(_at(case, seed, tmp_path)) for seed in (1, 2)}
        assert list(arms[1]) == list(arms[2])
        assert study.reference in arms[1]
        assert study.pairs(case, list(arms[1]))
        for recipe in (recipe for arm in arms[1].values() for recipe in _recipes(arm)):
            assert decode(Recipe, encode(recipe)) == recipe, "a recipe crosses to a lane as JSON"


def _at(case: Case, replicate: int, folder: Path) -> At:
    def prepare(case: Case, request: DataRequest, base: ModelSpec) -> tuple[TaskData, Prepared]:
        return tiny.task(), tiny.prepared(folder)

    return At(
        case=case, replicate=replicate, seeds=Seeds.of(0, replicate), asked=ASKED, storage=folder, prepare=prepare,
        tell=lambda text: None,
    )  # fmt: skip


def _recipes(arm: Recipe | Grid | Arm) -> tuple[Recipe, ...]:
    inner = arm.recipe if isinstance(arm, Arm) else arm
    return inner.recipes if isinstance(inner, Grid) else (inner,)


def test_a_file_of_ones_own_is_a_study(tmp_path: Path) -> None:
    path = _written(tmp_path, '"""Is it so?\n\nAfter nobody."""\nREFERENCE = "a"\ndef cases(asked): ...\ndef arms(at): ...\n')
    study = load_comparison("", path)
    assert (study.name, study.question, study.background, study.seeds) == ("mine", "Is it so?", "After nobody.", 5)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ('"""Is it so?"""\n', "cases, arms, REFERENCE"),
        ("def cases(asked): ...\ndef arms(at): ...\nREFERENCE = 'a'\n", "its docstring"),
    ],
)
def test_what_a_file_lacks_is_named(tmp_path: Path, text: str, lacks: str) -> None:
    with pytest.raises(UserError, match=lacks):
        load_comparison("", _written(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file"):
        load_comparison("", tmp_path / "none.py")


def test_an_unknown_study_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="Did you mean 'policies'"):
        load_comparison("polices")


def test_data_are_asked_for_as_the_person_wished(tmp_path: Path) -> None:
    asked = Asked(
        base=ModelSpec(), budget_tokens=1, finetune_steps=1, data_dir=tmp_path, limits={"max_passages": 7}, corpus="own"
    )
    request = asked.data("triviaqa", corpus="wiki")
    assert (request.data_dir, request.max_passages, request.corpus) == (tmp_path, 7, "own")


def test_the_module_says_what_a_file_declares() -> None:
    import raylab.search.comparison.declared as declared

    assert all(name in inspect.getdoc(declared) for name in NEEDED)  # type: ignore[operator]
