"""How names are read out of a field, and which other forms of an answer a person would accept.

A reader takes the plain text of a field and returns the accepted names, the preferred one first; an empty tuple says
that the field names nothing one could ask for ("none", "NA", "unnamed elevation"). A widener takes the answer that
stands in a passage and returns all its accepted forms.
"""

import re

from raylab.data.atlas.text import ordinary_case, without_accents

Names = tuple[str, ...]

_NOTHING = re.compile(r"(?i)^(?:none|na\b|n/a|no |unnamed|see |sometimes|administered|unknown|dependent|known to)")
_NOTE = re.compile(r"\s*(?:;?\s*\bnote\b.*|;\s*see .*)$")
_TITLES = re.compile(
    r"(?i)\b(?:acting|interim|transition(?:al)?|caretaker|executive|prime|vice|federal|crown|grand|supreme|state|first|chief|deputy"
    r"|governor|general|president|premier|minister|ministers|chancellor|chairman|chairperson|captain|capt|lt|gen|col|dr|sir|dame|king|queen"
    r"|emperor|sultan|sheikh|amir|emir|prince|princess|duke|pope|leader|taoiseach|sayyid|administrator|mayor|council|cabinet|government"
    r"|affairs|commission|republic|territorial|assembly|cnsp|of|the|and)\b\.?"
)
_SOVEREIGNS = (
    ("UK", "United Kingdom", "Britain", "Great Britain"),
    ("US", "United States", "USA"),
    ("Soviet Union", "USSR"),
)


# The singular of currencies whose plural is not made with an s.
_ONE_OF = {
    "kroner": "krone", "kronor": "krona", "kronur": "krona", "koruny": "koruna", "zlotych": "zloty", "leva": "lev", "lei": "leu",
    "leke": "lek", "emalangeni": "lilangeni", "maloti": "loti", "meticais": "metical", "quetzales": "quetzal", "colones": "colon",
}  # fmt: skip


def _variants(names: list[str]) -> Names:
    """Without repetition and empty names, and each name also as typed on a plain keyboard."""
    cleaned = (re.sub(r"(?<!\.\w)\.$", "", name.strip(" ,;'\"")) for name in names)  # "Washington, D.C." keeps its point
    return tuple(dict.fromkeys(form for name in cleaned if name for form in (name, without_accents(name))))


def itself(answer: str) -> Names:
    """The answer alone, with and without accents."""
    return _variants([answer])


def listed(field: str) -> Names:
    """Names separated by commas, semicolons or "or"; what stands in parentheses is left out."""
    if _NOTHING.match(field):
        return ()
    outside = re.sub(r"\s*[(\[][^)\]]*[)\]]", "", _NOTE.sub("", field))
    return _variants([name for name in re.split(r"[,;/]\s*(?:or )?| or ", outside) if 2 < len(name.strip()) <= 45])


def place(field: str) -> Names:
    """A city: "San José", "Belgrade (Beograd)", or the first of several, the others being accepted as well."""
    if _NOTHING.match(field) or field.count(",") > 2:
        return ()
    found: list[str] = []
    for part in re.split(r";\s*|(?<=\)),\s*", _NOTE.sub("", field)):
        outside, _, inside = part.partition("(")
        local = re.sub(r"^aka |[,)].*$", "", inside)
        found += [outside.strip(), outside.partition(",")[0], *(local.split("/") if _is_name(local) else ())]
    return _variants([name for name in found if not re.search(r"\b(?:is|are|the administrative)\b", name)])


def _is_name(inside: str) -> bool:
    return bool(re.match(r"[A-Z]", inside)) and len(inside.split()) <= 3


def translated(field: str) -> Names:
    """An English name with the native one in parentheses; both are accepted."""
    if _NOTHING.match(field) or field.count("(") > 1:
        return ()
    outside, _, inside = re.sub(r" or (\w+)$", r" (\1)", _NOTE.sub("", field)).partition("(")
    return _variants([outside, *re.split(r" - |/", inside.strip(") "))])


def first_year(field: str) -> Names:
    """The year of the first date, for fields that state exactly one date before "notable earlier dates"."""
    stated = re.split(r";? ?(?:notable|note)\b", field)[0]
    years = re.findall(r"\b1[0-9]\d\d\b|\b20[0-2]\d\b", stated)
    return (years[0],) if len(set(years)) == 1 and not _NOTHING.match(field) else ()


def ruler(field: str) -> Names:
    """The country a country became independent from: "6 March 1957 (from the UK)", with its other names."""
    stated = re.match(
        r"[^(]*\((?:declared |gained )?(?:independence )?from (?:the )?([A-Z][^);,]{1,40}?)(?: (?:under|administered)[^)]*)?\)",
        field,
    )
    if not stated or " and " in stated.group(1):
        return ()
    name = re.sub(r"-administered.*| (?:rule|trusteeship|mandate).*", "", stated.group(1))
    return next((group for group in _SOVEREIGNS if name in group), _variants([name]))


def officeholder(field: str) -> Names:
    """A person in office: "President John Dramani MAHAMA (since 7 January 2025)"; the surname stands in capitals."""
    person = re.split(r" \(|[;,]|\brepresented", field)[0]
    surname = re.search(r"(?:\b(?:al|el|bin|de|van)[ -])?[^\W\d_a-z]{3,}(?:[ '-](?:[^\W\d_a-z]{2,}))*(?: [IVX]+\b)?", person)
    if not surname:
        return ()
    given = " ".join(_TITLES.sub(" ", person[: surname.start()]).replace(".", " ").split())
    last, rest = ordinary_case(surname.group(), frozenset()), person[surname.end() :].strip()
    if len(given.split()) > 4:
        return ()  # an office that _TITLES does not know
    alone = "" if re.fullmatch("[IVX]+", last) else last
    first = given.split()[0] if given else ""
    with_first = (f"{first} {last}", f"{first} {last} {rest}")
    return _variants([f"{given} {last}", alone, *with_first, f"{given} {last} {rest}", f"{alone} {rest}"])


def full_names(names: Names) -> Names:
    """The names of more than one word."""
    return tuple(name for name in names if " " in name)


def currency(field: str) -> Names:
    """The currency in the singular: "Ghanaian cedis (GHS) per US dollar -"; its kind alone is accepted."""
    full = re.split(r" \(| per ", field)[0].split("/")[0].split(" or ")[0].strip()
    full = re.sub(r"^(?:Communaut[eé] Financi[eè]re Africaine|Coop[eé]ration Financi[eè]re en Afrique Centrale)", "CFA", full)
    full = re.sub(r"^Comptoirs Fran[cç]ais du Pacifique", "CFP", full)
    *issuer, plural = full.split() or [""]
    unit = _ONE_OF.get(plural, plural.removesuffix("s"))
    return _variants([" ".join([*issuer, unit]), full, unit, plural])


def summit(field: str) -> Names:
    """A mountain without its height: "Mount Everest (highest peak in Asia...) 8,849 m"."""
    first = _NOTE.sub("", field).split(";")[0]
    name = re.sub(r"\s*\(.*?\)|\s+less than.*|\s+[\d,.]+ m\b.*|\s+\d.*", "", first)
    other = re.search(r"\(((?:Mt\.?|Mount|Pico|Cerro|Joz|Gora) [A-Z][\w' -]+)\)", first)
    if _NOTHING.match(name) or re.search(r"(?i)location|unnamed|elevation|volcano|several| and |,", name):
        return ()
    spelled = re.sub(r"^Mt\.? ", "Mount ", name)
    return _variants([*spelled.split("/"), name, *([other.group(1)] if other else [])])


def longest(field: str) -> Names:
    """The neighbour with the longest border: "Algeria 1,034 km; Libya 461 km"."""
    borders = re.findall(r"([A-Z][^;\d(]*?)(?: \([^)]*\))? ([\d,.]+) km", field)
    ranked = sorted(((float(length.replace(",", "")), name.strip()) for name, length in borders), reverse=True)
    return _variants([ranked[0][1]]) if len(ranked) > 1 and ranked[0][0] > ranked[1][0] else ()


def languages(field: str) -> Names:
    """The official languages: "Malay (Bahasa Melayu) (official), English"."""
    return _variants(re.findall(r"(?:^|, |; )([A-Z][a-z]+(?: [A-Z][a-z]+)?)(?: \([^)]*\))?(?: [\d.]+%)? \(official\b", field))


def discoverers(field: str) -> Names:
    """The surnames and full names of discoverers: "Sir William Ramsey, M.W. Travers"."""
    if _NOTHING.match(field) or re.search(r"Nuclear|Institute|Labor|Univ|Research|Argonne|GSI|RIKEN|et al", field):
        return ()
    field = re.sub(r"^(\w+) and (\w+) ([^,]+)$", r"\1 \3, \2 \3", field)  # brothers, a couple
    people = [
        re.sub(r"^Sir |\.(?=[A-Z])", lambda m: ". " if m.group() == "." else "", p)
        for p in re.split(r"[,;]\s*| and (?=[A-Z])", field)
    ]
    return _variants([form for person in people for form in (person, person.split()[-1]) if len(form) > 3])


def person(answer: str) -> Names:
    """A namesake: the full name, and the last name alone."""
    alone = answer.split()[-1]
    is_other = re.search(r"\b(?:of|the|River|Mountains?|Sea|Desert|Islands?|Company|Lake|Laboratory|[IVX]+)\b", answer)
    return _variants([answer] if is_other else [answer, alone])


def phrase(answer: str) -> Names:
    """A phrase, with and without its article."""
    bare = re.sub(r"^(?:the|a|an) ", "", answer, flags=re.IGNORECASE)
    return _variants([answer, bare])
