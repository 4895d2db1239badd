"""From markup to sentences, and from fields to names."""

import pytest

from raylab.data.atlas import answers
from raylab.data.atlas.text import MAX_WORDS, MIN_WORDS, ordinary_case, paragraphs, plain, sentences, without_accents


def test_paragraphs_are_plain_text() -> None:
    markup = "<p>One&nbsp;<em>word </em>, caf&eacute; \u2013 \u201cyes\u201d</p><br><br><strong>note:</strong> two"
    assert list(paragraphs(markup)) == ['One word, caf\u00e9 - "yes"', "note: two"]
    assert plain("a<br>b") == "a b"


def test_sentences_end_where_sentences_end() -> None:
    text = "The U.S. sent Lt. Gen. John A. Smith to St. Croix in 1901. He stayed there until the war. It ended soon after that."
    assert list(sentences(text)) == [
        "The U.S. sent Lt. Gen. John A. Smith to St. Croix in 1901.",
        "He stayed there until the war.",
        "It ended soon after that.",
    ]


def test_an_era_before_a_capital_letter_ends_a_sentence() -> None:
    assert len(list(sentences("The city was built in the 5th century A.D. Its walls still stand today."))) == 2
    assert len(list(sentences("The city was built in A.D. 985 and still stands today."))) == 1


def test_a_long_sentence_becomes_whole_clauses() -> None:
    clause = "one two three four five six seven eight nine ten (eleven; twelve)"
    pieces = list(sentences("; ".join([clause] * 5)))
    assert len(pieces) == 2
    assert all(MIN_WORDS <= len(p.split()) <= MAX_WORDS and p.count("(") == p.count(")") for p in pieces)


def test_what_is_too_short_or_too_long_is_left_out() -> None:
    assert list(sentences("Adopted 1991.")) == []
    assert list(sentences(" ".join(["word"] * (MAX_WORDS + 1)))) == []


def test_labels_go_and_sentences_are_finished() -> None:
    assert list(sentences("note 1: named after a river in the north")) == ["Named after a river in the north."]


@pytest.mark.parametrize(
    ("source", "ordinary"),
    [
        ("President Kwame NKRUMAH", "President Kwame Nkrumah"),
        ("Ariel HENRY'S government", "Ariel Henry's government"),
        ("Nana AKUFO-ADDO and William McDONALD", "Nana Akufo-Addo and William McDonald"),
        ("NATO and Pope LEO XIII of the UK", "NATO and Pope Leo XIII of the UK"),
    ],
)
def test_surnames_in_ordinary_case(source: str, ordinary: str) -> None:
    assert ordinary_case(source, frozenset({"NATO"})) == ordinary


def test_without_accents() -> None:
    assert (
        without_accents("S\u00e3o Tom\u00e9, \u0141\u00f3d\u017a, K\u00f8benhavn".replace("\u0141", "\u0142"))
        == "Sao Tome, lodz, Kobenhavn"
    )


@pytest.mark.parametrize(
    ("read", "field", "names"),
    [
        (answers.place, "Belgrade (Beograd)", ("Belgrade", "Beograd")),
        (answers.place, "Papeete (located on Tahiti)", ("Papeete",)),
        (answers.place, "La Paz (administrative capital); Sucre (constitutional capital)", ("La Paz", "Sucre")),
        (answers.place, "Malabo; note - some months of the year elsewhere", ("Malabo",)),
        (answers.place, "Bogot\u00e1", ("Bogot\u00e1", "Bogota")),
        (answers.place, "Washington, D.C.", ("Washington, D.C.", "Washington")),
        (answers.place, "none", ()),
        (answers.place, "no official capital; offices in the Yaren District", ()),
        (answers.listed, "French Sudan, Sudanese Republic (until 1960)", ("French Sudan", "Sudanese Republic")),
        (answers.listed, "NA", ()),
        (answers.translated, "National Council (Narodna rada)", ("National Council", "Narodna rada")),
        (answers.translated, "Legislative Council or LegCo", ("Legislative Council", "LegCo")),
        (answers.first_year, "27 August 1991 (from the Soviet Union); notable earlier dates: 1359 (founded)", ("1991",)),
        (answers.first_year, "1918; 1991", ()),
        (answers.first_year, "none (territory of the US since 1898)", ()),
        (answers.ruler, "6 March 1957 (from the UK)", ("UK", "United Kingdom", "Britain", "Great Britain")),
        (answers.ruler, "1 January 1962 (from New Zealand-administered UN trusteeship)", ("New Zealand",)),
        (answers.officeholder, "King Letsie III (since 7 February 1996)", ("Letsie III",)),
        (answers.officeholder, "Prime Minister Donald TUSK (since 11 December 2023)", ("Donald Tusk", "Tusk")),
        (answers.currency, "Norwegian kroner (NOK) per US dollar -", ("Norwegian krone", "Norwegian kroner", "krone", "kroner")),
        (answers.currency, "euros (EUR) per US dollar -", ("euro", "euros")),
        (answers.currency, "", ()),
        (answers.summit, "Mount Everest (highest point on earth) 8,849 m", ("Mount Everest",)),
        (answers.summit, "Mt. Christoffel 372 m", ("Mount Christoffel", "Mt. Christoffel")),
        (answers.summit, "unnamed elevation 675 m; located 2 km southeast of the town", ()),
        (answers.longest, "Algeria 1,034 km; Libya 461 km", ("Algeria",)),
        (answers.longest, "South Africa 1,106 km", ()),
        (answers.languages, "Czech (official) 88.4%, Slovak 1.5%", ("Czech",)),
        (answers.discoverers, "Sir William Ramsey, M.W. Travers", ("William Ramsey", "Ramsey", "M. W. Travers", "Travers")),
        (answers.discoverers, "Pierre and Marie Curie", ("Pierre Curie", "Curie", "Marie Curie")),
        (answers.discoverers, "Known to the ancients.", ()),
    ],
)
def test_names_read_from_fields(read, field: str, names: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    assert read(field) == names


def test_wider_answers() -> None:
    assert answers.person("Enrico Fermi") == ("Enrico Fermi", "Fermi")
    assert answers.person("Kabul River") == ("Kabul River",)
    assert answers.phrase("the two seas") == ("the two seas", "two seas")
    assert answers.full_names(("Donald Tusk", "Tusk")) == ("Donald Tusk",)
