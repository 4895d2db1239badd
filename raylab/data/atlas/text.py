"""From a package's markup to plain sentences: entities, tags, notes, capitals, abbreviations, length."""

import html
import re
import unicodedata
from collections.abc import Iterator

MIN_WORDS, MAX_WORDS = 5, 36  # of a passage of prose; about 90 tokens of a small vocabulary

_TAG = re.compile(r"<[^>]+>")
_BREAK = re.compile(r"(?i)</?(?:p|br|div|li|ul|ol)\b[^>]*>")
_STRAIGHT = str.maketrans(dict(zip("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--", strict=True)) | {0xAD: None, 0x200B: None})
_UNCOMPOSED = str.maketrans("\u0131\u00f8\u0142", "iol")  # letters that no combining mark was taken from
_NOTE = re.compile(r"^(?:note(?: \d+)?|description|meaning|history)\s*:\s*", re.IGNORECASE)
_STAMP = re.compile(r"\s*\((?:\d{4}(?:-\d{2,4})?(?: est\.)?|\d{4} est\.)\)(?=[.;]?$)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:[A-Z]|[A-Z][a-z]?\.[A-Z]|[A-Z]\.[A-Z]\.[A-Z]|St|Ste|Mt|Lt|Col|Gen|Capt|Maj|Adm|Sgt|Brig|Gov|Sen|Rep|Dr|Mr|Mrs|Ms|Jr|Sr"
    r"|Rev|Hon|Prof|No|Nos|ca|c|approx|est|vs|etc|cf|e\.g|i\.e|a\.k\.a|[A-Z]\.[A-Za-z. ]*[A-Z])\.$"
)
_POINTER = re.compile(r",? as shown in this population distribution map|\s*\(see [^)]*\)|; see \w+ note[^;]*$")
_ERA = re.compile(r"\b(?:A\.D|B\.C)\.$")  # before a capital letter it ends a sentence more often than not
_STOP = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(]?[A-Z0-9])")
_CAPITALS = re.compile(r"\b(?:Mc|Mac)?[^\W\d_a-z]{3,}(?:'S)?\b|\b(?:AL|AN|AS|AZ|DA|DE|EL|LA|NE|UL)(?=[ -][^\W\d_a-z]{3})")
_SURNAME = re.compile(r"(Mc|Mac|)([^']+)((?:'S)?)")
_ROMAN = re.compile(r"[IVXLC]+")


def paragraphs(markup: str) -> Iterator[str]:
    """The paragraphs of a text with HTML tags and entities, as plain text on one line each."""
    for block in _BREAK.split(html.unescape(markup).replace("\xa0", " ")):
        text = " ".join(_TAG.sub("", block).translate(_STRAIGHT).replace(" -- ", " - ").split())
        if text:
            yield re.sub(r"\s+([,;.)])", r"\1", text)


def plain(markup: str) -> str:
    """A short field as plain text on one line."""
    return " ".join(paragraphs(markup))


def sentences(paragraph: str) -> Iterator[str]:
    """Passages of MIN_WORDS to MAX_WORDS words: whole sentences, or whole clauses of a sentence that is too long."""
    for sentence in _split_sentences(_POINTER.sub("", _NOTE.sub("", paragraph))):
        for piece in _pack(_clauses(sentence)) if _words(sentence) > MAX_WORDS else (sentence,):
            text = _STAMP.sub("", piece.strip(" ;,-"))
            if MIN_WORDS <= _words(text) <= MAX_WORDS and _balanced(text):
                yield _finished(text)


def ordinary_case(text: str, acronyms: frozenset[str]) -> str:
    """Surnames set in capitals (the Factbook's custom) in ordinary case; `acronyms` and Roman numerals stay."""

    def lowered(match: re.Match[str]) -> str:
        word = match.group()
        if word in acronyms or _ROMAN.fullmatch(word):
            return word
        head, letters, tail = _SURNAME.fullmatch(word).groups()  # type: ignore[union-attr]
        return head + letters.capitalize() + tail.lower()

    return _CAPITALS.sub(lowered, text)


def without_accents(text: str) -> str:
    """The text as a person types it on a plain keyboard: no combining marks."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_UNCOMPOSED))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _split_sentences(paragraph: str) -> Iterator[str]:
    start = 0
    for stop in _STOP.finditer(paragraph):
        before, after = paragraph[start : stop.start() + 1], paragraph[stop.end()]
        if not _ABBREVIATION.search(before) or (_ERA.search(before) and after.isalpha()):
            yield paragraph[start : stop.end()].strip()
            start = stop.end()
    yield paragraph[start:].strip()


def _clauses(sentence: str) -> Iterator[str]:
    """The parts between semicolons that stand outside parentheses and quotes."""
    start = depth = 0
    for i, character in enumerate(sentence):
        depth += (character == "(") - (character == ")")
        if depth == 0 and (character == ";" or sentence[i : i + 2] == ';"'):
            end = i + 1 + (sentence[i + 1 : i + 2] == '"')
            yield sentence[start:end].strip()
            start = end
    yield sentence[start:].strip()


def _pack(clauses: Iterator[str]) -> Iterator[str]:
    packed = ""
    for clause in clauses:
        if packed and _words(packed) + _words(clause) > MAX_WORDS:
            yield packed
            packed = ""
        packed = f"{packed} {clause}".strip()
    yield packed


def _words(text: str) -> int:
    return len(text.split())


def _balanced(text: str) -> bool:
    return text.count("(") == text.count(")") and text.count('"') % 2 == 0


def _finished(text: str) -> str:
    text = re.sub(r'[;,]"$', '"', text)
    text = text[0].upper() + text[1:]
    return text if re.search(r"[.!?][\"')]*$", text) else text + "."
