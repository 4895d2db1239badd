"""A tagger of names, dates and quantities made of rules for English text. It needs nothing, and knows no list of names.

A name is a run of capitalised words. What a capital means at the start of a sentence is asked of the texts themselves:
if the word is written small elsewhere at least as often as it is written large within a sentence, it is no name
(truecasing, Lita et al. 2003).
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

_UPPER = "".join(c for c in map(chr, range(0x530)) if c.isupper())  # Latin, Greek, Cyrillic
_MONTH = (
    r"(?:Jan(?:uary|\.)|Feb(?:ruary|\.)|Mar(?:ch|\.)|Apr(?:il|\.)|May|June?|July?|Aug(?:ust|\.)|Sept?(?:ember|\.)|Oct(?:ober|\.)|"
    r"Nov(?:ember|\.)|Dec(?:ember|\.))"
)
_YEAR = r"(?:1\d{3}|20\d{2})"
_ERA = r"(?:\s(?:BCE?|CE|AD)\b)"
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_UNIT = (
    r"(?:%|(?:percent|per cent|thousand|million|billion|trillion|people|inhabitants|years?|months?|weeks?|days?|hours?|minutes?|"
    r"seconds?|(?:square |sq\.? |cubic )?(?:kilo|centi|milli|nano)?met(?:er|re)s?|(?:square |sq\.? )?(?:km|cm|mm|mi|ft)|miles?|"
    r"feet|foot|inch(?:es)?|acres?|hectares?|ha|(?:kilo|milli)?grams?|kg|tonn?es?|tons?|pounds?|lit(?:er|re)s?|degrees?|"
    r"(?:kilo|mega|giga)?(?:watt|hertz|byte)s?|dollars?|euros?|°\s?[CFK]?)\b)"
)

# Longest forms first: an alternative that matches ends the search for others at its place.
_FACT = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}(?:,?\s{_YEAR}\b)?"
    rf"|\b{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s{_YEAR}\b)?"
    rf"|\b{_MONTH},?\s{_YEAR}\b"
    r"|\b\d{4}-\d{2}-\d{2}\b"
    r"|\b\d{1,2}(?:st|nd|rd|th)\scentur(?:y|ies)\b" + _ERA + "?"
    rf"|[$€£]\s?{_NUMBER}(?:\s(?:thousand|million|billion|trillion)\b)?"
    rf"|\b{_NUMBER}(?:[ -]?(?:million|billion|trillion))?[ -]?{_UNIT}"
    rf"|\b{_YEAR}s?\b{_ERA}?"
    rf"|\b\d{{1,4}}{_ERA}"
)
_APOSTROPHE = "'\u2019"
_WORD = (
    rf"[{_UPPER}](?:\.[{_UPPER}])+\.?"  # U.S.
    rf"|[{_UPPER}]\.(?=\s[{_UPPER}])"  # J. R. R.
    rf"|(?:[dlDL][{_APOSTROPHE}])?[{_UPPER}][\w{_APOSTROPHE}]*(?:-\w+)*"  # d'Ivoire, Saint-Michel
)
_LINK = r"(?:of|the|de|and|la|von|van|der|del|du|al|for)\s"
_ALONE = rf"(?<![\w{_APOSTROPHE}-])"
_NAME = re.compile(rf"{_ALONE}(?:{_WORD})(?:\s(?:{_LINK}){{0,2}}(?:{_WORD}))*")
_PLAIN_WORD = re.compile(rf"{_ALONE}[^\W\d_]+")
_POSSESSIVE = re.compile(rf"[{_APOSTROPHE}]s?$")
_SENTENCE_START = re.compile("(?:^|[.!?:;]|\n)[\\s\"'\u201c\u2018(\\[]*$")
# Written large at a sentence's start far more often than they are part of a name; decides where the texts are too few to tell.
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a an the this that these those it its he she they we you i his her their our my in on at by for from to of with as
        and but or if when while where after before during since until although though because however there here not no all
        some most many several both each every other another one two three who what which how why then thus also only under
        over between into through about against among more such was is are were has have had do does did can may will would
        should
        """,
    )
)


def tag_by_rules(texts: Sequence[str]) -> Iterator[list[tuple[int, int]]]:
    """The character ranges of names, dates and quantities of each text, sorted, without overlap."""
    small = _written_small(texts)
    for text in texts:
        facts = [match.span() for match in _FACT.finditer(text)]
        blanked = _FACT.sub(lambda match: "\0" * len(match.group()), text)
        names = [span for match in _NAME.finditer(blanked) if (span := _name(match, blanked, small))]
        yield sorted(facts + names)


def _written_small(texts: Sequence[str]) -> frozenset[str]:
    """The words that are written small at least as often as large within a sentence."""
    small, large = Counter[str](), Counter[str]()
    for text in texts:
        for match in _PLAIN_WORD.finditer(text):
            word = match.group()
            if word[0].islower():
                small[word] += 1
            elif not _begins_sentence(text, match.start()):
                large[word.casefold()] += 1
    return frozenset(word for word, count in small.items() if count >= large[word]) | _FUNCTION_WORDS


def _begins_sentence(text: str, position: int) -> bool:
    return _SENTENCE_START.search(text[max(0, position - 6) : position]) is not None and not _after_initial(text, position)


def _after_initial(text: str, position: int) -> bool:
    """After "J. " or "U.S. " stands no sentence, as far as can be told."""
    before = text[max(0, position - 4) : position].rstrip()
    return len(before) >= 2 and before[-1] == "." and before[-2].isupper()


def _name(match: re.Match[str], text: str, small: frozenset[str]) -> tuple[int, int] | None:
    """The range of a name without the words at its start that are none, and without a possessive 's."""
    begin, end = match.span()
    while begin < end and (word := _PLAIN_WORD.match(text, begin)) and word.group().casefold() in small:
        if not (_begins_sentence(text, begin) or word.group().casefold() in _FUNCTION_WORDS):
            break
        following = _NAME.search(text, word.end(), end)
        begin = following.start() if following else end
    end -= len(tail.group()) if (tail := _POSSESSIVE.search(text[begin:end])) else 0
    return (begin, end) if end - begin > 1 else None
