"""Splits by hash: stable, disjoint, and about the shares that were promised."""

import pytest

from raylab.data.scoring import normalise
from raylab.data.splits import check_filled, complete, keep_apart, sample
from raylab.data.task import SPLITS, Question
from raylab.errors import UserError


def _ask(question: str) -> Question:
    return Question(id=question, question=question, answer="x", answers=("x",))


MANY = tuple(_ask(f"Question number {i}?") for i in range(3000))


def test_rows_without_splits_are_split_80_10_10() -> None:
    made, notes = complete({"train": MANY}, "question")
    shares = [len(made[split]) / len(MANY) for split in SPLITS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert sum(len(made[split]) for split in SPLITS) == len(MANY)
    assert "no dev and test split was given" in notes[0] and f"train {len(made['train']):,}" in notes[0]


def test_a_question_keeps_its_split_whatever_stands_beside_it() -> None:
    whole, _ = complete({"train": MANY}, "question")
    half, _ = complete({"dev": MANY[::-2]}, "question")
    for split in SPLITS:
        assert set(half[split]) <= set(whole[split])


def test_spellings_of_one_question_share_a_split() -> None:
    made, _ = complete({"train": (*MANY, *(_ask(f"  the QUESTION number {i}") for i in range(3000)))}, "question")
    asked = {split: {normalise(e.question) for e in made[split]} for split in SPLITS}
    assert not asked["train"] & asked["dev"] and not asked["train"] & asked["test"] and not asked["dev"] & asked["test"]


def test_given_splits_stay() -> None:
    given = {"train": MANY[:10], "dev": MANY[10:12], "test": MANY[12:20]}
    assert complete(given, "question") == (given, ())


def test_only_dev_missing_leaves_test_alone() -> None:
    made, notes = complete({"train": MANY[500:], "test": MANY[:500]}, "question")
    assert made["test"] == MANY[:500]
    assert len(made["dev"]) / 2500 == pytest.approx(0.1, abs=0.02)
    assert "a tenth of train" in notes[0]


def test_train_is_cleared_of_what_stands_in_dev_or_test() -> None:
    given = {"train": (_ask("A one"), _ask("two"), _ask("three")), "dev": (_ask("one"), _ask("four")), "test": (_ask("Four!"),)}
    kept, notes = keep_apart(given, "question")
    assert [e.question for e in kept["train"]] == ["two", "three"]
    assert [e.question for e in kept["dev"]] == ["one"]
    assert kept["test"] == given["test"]
    assert len(notes) == 2


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(UserError, match="no question is left in dev and test"):
        check_filled({"train": MANY[:1], "dev": (), "test": ()}, "after reading", "question")


def test_a_sample_goes_by_content_and_keeps_the_order() -> None:
    items = [str(i) for i in range(100)]
    chosen = sample(items, 10, key=str)
    assert len(chosen) == 10 and list(chosen) == sorted(chosen, key=int)
    assert set(sample(items[::-1], 10, key=str)) == set(chosen)
    assert sample(items, None, key=str) == tuple(items)
