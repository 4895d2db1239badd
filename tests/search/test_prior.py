"""Earlier studies give a new one their best choices to try first, the more the more alike the data are."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylab.data.prepared import Prepared
from raylab.search import prior
from raylab.search.ledger import Study
from raylab.search.lineage import Earlier
from raylab.search.listed import listed
from raylab.search.prior import Prior, best_choices, shared_out, similarity, words_of
from raylab.search.space import load_space
from raylab.search.study import conduct
from tests import tiny
from tests.search.small_study import SETTING, FakeRunner, bits, conduct_in

SPACE = load_space("masking")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return tiny.prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, data: Prepared) -> Study:
    """A study in which salient is best."""
    study, ledger = conduct_in(tmp_path_factory.mktemp("earlier") / "s", data)
    conduct(study, nullcontext(FakeRunner(ledger, study.study)))
    return study.study


def test_the_same_text_is_as_similar_as_can_be_and_another_language_is_not() -> None:
    river = words_of(b"The river runs to the sea, and the sea is salt.")
    again = words_of(b"the SEA is salt and the river runs to the sea")
    town = words_of(b"The town lies by the river.")
    other = words_of("Der Fluss mündet ins Meer.".encode())
    assert similarity(river, again) == pytest.approx(1.0)
    assert 0 < similarity(river, town) < 1
    assert similarity(river, town) == pytest.approx(similarity(town, river))
    assert similarity(river, other) == pytest.approx(0.0)
    assert similarity(river, Counter()) == 0.0


def test_how_long_the_texts_are_does_not_matter() -> None:
    text = b"the river runs to the sea "
    assert similarity(words_of(text), words_of(50 * text)) == pytest.approx(1.0)


def test_a_large_corpus_is_sampled_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior, "SAMPLE_BYTES", 4096)
    monkeypatch.setattr(prior, "PIECES", 16)
    counts = words_of(5_000 * b"river " + 5_000 * b"town ")
    assert sum(counts.values()) < 1000 and counts["river"] > 100 and counts["town"] > 100


def test_the_best_come_first_as_far_as_the_space_has_them(told: Study) -> None:
    earlier = Earlier(study=told, space=SPACE, setting=SETTING)
    recipes = [SPACE.decode(values, SETTING)[0] for values in best_choices(earlier, SPACE, SETTING)]
    assert len(recipes) == 6
    assert bits(recipes[0]) == min(map(bits, recipes)) and bits(recipes[0]) < bits(recipes[-1])
    narrow = replace(SETTING, policies=("uniform", "span"))
    found = best_choices(earlier, SPACE, narrow)
    assert 0 < len(found) < 6 and all(values["policy"] != "salient" for values in found)


def test_choices_go_over_to_another_budget_and_base(told: Study) -> None:
    other = replace(SETTING, budget_tokens=99, task="another")
    values = best_choices(Earlier(study=told, space=SPACE, setting=SETTING), SPACE, other)
    assert values and SPACE.decode(values[0], other)[0].task == "another"


def test_failures_give_nothing(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "s", data)
    conduct(study, nullcontext(FakeRunner(ledger, study.study, fails=lambda request: True)))
    assert best_choices(Earlier(study=study.study, space=SPACE, setting=SETTING), SPACE, SETTING) == []


def _prior(name: str, alike: float | None, choices: int = 20, first: int = 0) -> Prior:
    return Prior(study=name, similarity=alike, choices=[{"rate": first + n} for n in range(choices)])


@pytest.mark.parametrize(
    ("alike", "counts"),
    [
        ((1.0,), (8,)),
        ((0.5,), (4,)),
        ((None,), (1,)),
        ((0.9, 0.3), (6, 2)),
        ((0.5, 0.5), (4, 4)),
        ((0.9, 0.0), (8, 0)),
    ],
)
def test_more_of_them_from_more_similar_data(alike: tuple[Any, ...], counts: tuple[int, ...]) -> None:
    priors = [_prior(str(n), one, first=100 * n) for n, one in enumerate(alike)]
    assert tuple(len(given.choices) for given in shared_out(priors, trials=32)) == counts


def test_the_most_similar_comes_first_and_nothing_twice() -> None:
    given = shared_out([_prior("far", 0.4), _prior("near", 0.8)], trials=16)
    assert [one.study for one in given] == ["near", "far"]
    choices = [choice for one in given for choice in one.choices]
    assert len(choices) == 4 and all(choices.count(choice) == 1 for choice in choices)
    assert given[0].choices[0] == {"rate": 0}


def test_a_short_search_tries_one_and_a_poor_prior_gives_what_it_has() -> None:
    assert [len(given.choices) for given in shared_out([_prior("a", 1.0)], trials=2)] == [1]
    assert [len(given.choices) for given in shared_out([_prior("a", 1.0, choices=2)], trials=40)] == [2]


def test_a_study_tries_them_before_its_own_starts(tmp_path: Path, data: Prepared) -> None:
    study, ledger = conduct_in(tmp_path / "s", data)
    own = study.starts()
    choice = SPACE.decode({"policy": "span", "learning_rate": 0.003}, SETTING)[1]
    study.study.apply(ledger.append("prior", study="a", similarity=0.5, choices=[choice, own[1]]))
    assert study.starts() == [choice, own[1], own[0], own[2]]
    assert Study.read(tmp_path / "s").priors == study.study.priors
    assert listed(SPACE, SETTING, 0, 0, study.starts())[1] == choice
