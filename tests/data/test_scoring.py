"""TriviaQA's normalisation and measures."""

import pytest

from raylab.data.scoring import exact_match, f1, normalise


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Beatles", "beatles"),
        ("  a   Tale of_Two\tCities ", "tale of two cities"),
        ("O\u2019Neill", "o neill"),  # punctuation becomes a space, it does not vanish
        ("\u2018Hello\u2019, `world\u00b4!", "hello world"),
        ("Panther", "panther"),  # an article inside a word stays
        ("A.B.C.", "b c"),  # as the official program does: the lone a is an article
        ("\u00c9mile", "\u00e9mile"),
        ("the", ""),
    ],
)
def test_normalise(answer: str, expected: str) -> None:
    assert normalise(answer) == expected


def test_exact_match_takes_any_alias() -> None:
    assert exact_match("the united states", ("USA", "United States")) == 1.0
    assert exact_match("united states of america", ("USA", "United States")) == 0.0
    assert exact_match("", ("USA",)) == 0.0


def test_f1_is_the_best_over_aliases() -> None:
    assert f1("Henry James", ("James, Henry", "The Finer Grain")) == 1.0
    assert f1("Henry Ford", ("Henry James",)) == pytest.approx(0.5)
    assert f1("new new york", ("new york",)) == pytest.approx(2 * 2 / 5)  # a repeated word counts once
    assert f1("", ("x",)) == 0.0
    assert f1("x", ()) == 0.0
