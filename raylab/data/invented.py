"""Invented facts, so that every dataset can be tried without its data and without a network: towns that do not exist."""

from collections.abc import Iterator
from dataclasses import dataclass

_TOWNS = (
    ("Arvelo", "Ansel", "Oda Pell"),
    ("Brundic", "Brome", "Rui Sand"),
    ("Castorel", "Corva", "Tam Ulver"),
    ("Dunmere", "Dell", "Vea Winn"),
    ("Estavia", "Ember", "Xan Yorke"),
    ("Fennwick", "Fosse", "Zoe Abt"),
    ("Garsholm", "Garn", "Ben Crane"),
    ("Heltora", "Hask", "Dea Ern"),
    ("Ilvermoor", "Isolde", "Fay Gow"),
    ("Jastrow", "Jura", "Hal Inge"),
    ("Kelmora", "Kenn", "Jo Kast"),
    ("Lothrin", "Lune", "Lea Moor"),
)
_SPLIT_OF_TOWN = ("train", "train", "dev", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A question, its answer, and the passage (title and text) the answer stands in."""

    question: str
    answer: str
    aliases: tuple[str, ...]
    title: str
    text: str
    split: str


def facts() -> Iterator[Fact]:
    """36 facts in 12 passages: 18 of train, 9 of dev, 9 of test; the questions of a town share a split."""
    for i, (town, river, mayor) in enumerate(_TOWNS):
        year = str(1700 + 13 * i)
        text = f"{town} is a town on the river {river}. It was founded in {year}, and {mayor} was its first mayor."
        for question, answer, alias in (
            (f"On which river does {town} lie?", river, f"River {river}"),
            (f"When was {town} founded?", year, f"in {year}"),
            (f"Who was the first mayor of {town}?", mayor, mayor.split()[-1]),
        ):
            yield Fact(
                question=question, answer=answer, aliases=(alias,), title=town, text=text, split=_SPLIT_OF_TOWN[i % 4]
            )  # fmt: skip
