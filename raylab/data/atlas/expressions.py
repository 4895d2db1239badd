"""The regular expressions of the table of kinds: what answers look like, and how prose states a fact.

ANSWER stands for the answer (raylab.data.atlas.kind); it is always matched as whole words.
"""

_PARTICLE = "of|de|da|do|del|la|le|von|van|bin|ibn|al|the"
_NATION = (
    "American|Austrian|Boer|British|Danish|Dutch|English|French|German|Greek|Italian|Norwegian|Portuguese|Roman|Russian|Scottish"
    "|Spanish|Swedish|US"
)
_RANK = r"Admiral|Captain|Capt\.|General|Governor|King|President|Prince|Queen|Sir|Sultan"
_COLOUR = "black|blue|gold|green|orange|red|white|yellow"

# Shapes of answers.
NAME = rf"[A-Z][\w'-]*(?:\.? (?:(?:{_PARTICLE}) )*[A-Z][\w'-]*)*"
YEAR = r"1[0-9]\d\d|20[0-2]\d"
QUOTED = r"[^\W\d_][^\"(),;]{1,38}?"
PHRASE = r"[a-z][a-z' -]{2,38}?"
LANGUAGE = r"(?!Western|Northern|Latinized|European)(?:(?:Old|Middle|Ancient|West|Old High) )?[A-Z][a-z]+(?:-[A-Z][a-z]+)?"
HALF_LIFE = r"[\d.]+ (?:years|days|hours|minutes|seconds|ms|s)"
GROUP = r"\d{1,2}"

# Names and what they come from.
_END_OF_NAME = (
    r"(?=[,;.]|$| \(| who\b| which\b| in \d| on \d| and (?:dates|refers|was)| near| by\b| around| during"
    r"| tribe| people| ethnic| family)"
)
_HONOURED = rf"(?!(?:{_NATION}|{_RANK}) )ANSWER{_END_OF_NAME}"
NAMED_AFTER = (
    r"(?:[Rr]e|\b)[Nn]amed(?: in \d{4})? (?:after|for|in honor of) "
    + rf"(?:(?:(?!family)[a-z'-]+|{_NATION}|{_RANK}) ){{0,5}}{_HONOURED}"
)
ELEMENT_NAMED_AFTER = rf"(?:[Nn]amed (?:for|after|in honor of)|^From) (?:(?:[a-z,-]+|{_NATION}) )*{_HONOURED}"
_CALLED = "[Ff]ormer|[Nn]ame|[Cc]alled|[Kk]nown|[Rr]enamed|[Bb]ecame|[Ff]ormed"
CALLED_BEFORE, CALLED_AFTER = rf"ANSWER[^.;]*?\b(?:{_CALLED}|independen)", rf"\b(?:{_CALLED})[^.;]*?ANSWER"
_MEAN = r"\b[Mm]ean(?:s|ing)\b"
_OF_A_PART = r"suffix|prefix|ending|-\w+ means|\"-"  # "-stan" means something, but not what the name means
MEANS = (
    rf"^(?!.*(?:{_OF_A_PART}|named it|{_MEAN}.*{_MEAN})).*?{_MEAN}(?: of)?,? (?:either |both |roughly |literally |simply )?"
    r"\"ANSWER[,;.]?\"(?: or (?:possibly )?\"(?P<also>[^\"]+?)[,;.]?\")?"
)
WORD_OF_LANGUAGE = r"(?:from|is|in|for) (?:the |an? )ANSWER (?:words?|terms?|names?|phrase|verb|root|language|expression)\b"

# Places.
CAPITAL_BEFORE, CAPITAL_AFTER = r"ANSWER[^.;]{0,60}?\bcapital", r"(?<!former )\bcapital[^.;]{0,60}?ANSWER"
REGION = r"^ANSWER(?=,| in | on )"
COAST = r"^(?!.*bordering.*bordering).*bordering the ANSWER(?=\.|, (?:between|north|south|east|west|just|off|[a-z]+ of) )"
ISLANDS_IN = r"(?:islands?|group|archipelago|atolls?)[^;]*? in the (?:[a-z]+ )*ANSWER(?=[,.])"
HIGHEST_BEFORE, HIGHEST_AFTER = r"ANSWER[^;]*?(?:highest|tallest)", r"(?:highest|tallest)[^;]*?ANSWER"
LANGUAGE_BEFORE, LANGUAGE_AFTER = r"ANSWER (?:[a-z]+ )?language", r"language[^.;]*?ANSWER"
CURRENCY = r"(?:currency|adopted|introduced)[^.;]*?ANSWER"
FLAG_COLOUR = (
    rf"(?<!\w)(?P<colour>(?i:{_COLOUR}))(?: color| stripe| band)? "
    r"(?:stands? for|represents?|symbolizes?|signif(?:y|ies)|denotes?|for) "
    rf"(?:the )?ANSWER(?=[,;.]| and (?:the )?(?:{_COLOUR}) )"
)

# History.
_END_OF_RULE = r"(?:breakup|collapse|dissolution|fall) of the ANSWER"
INDEPENDENT_BEFORE, INDEPENDENT_AFTER = r"ANSWER[^;]*?\bindependen", r"\b[Ii]ndependen[^;]*?ANSWER"
INDEPENDENT_FROM = r"\b[Ii]ndependen[^.;]{0,40}? from (?:the )?ANSWER"
INDEPENDENT_AS_RULE_ENDED = rf"\b[Ii]ndependen[^;]*?{_END_OF_RULE}"
RULE_ENDED = rf"{_END_OF_RULE}[^;]*?\bindependen"
GRANTED_INDEPENDENCE = r"ANSWER (?:granted|recognized|gave|relinquished)[^;]*?\bindependen"
JOINED = (
    r"\b(?:joined|acceded to|became a member of|entered) "
    r"(?P<body>the EU|NATO|the UN|the OECD|the WTO|the euro zone|the European Union)\b[^.;]{0,30}? in (?:\w+ )?ANSWER"
)
BECAME = (
    r"(?:became|declared|made|established|proclaimed)[^.;,]{0,40}? (?P<status>an? (?:[A-Z][a-z]+ )?"
    r"(?:crown colony|colony|protectorate|overseas territory|republic|kingdom|constitutional monarchy|federation))\b"
    r"[^.;]{0,20}? in ANSWER"
)
ADOPTED = r"\b[Aa]dopted (?:in )?ANSWER"
LATEST = r"\b[Ll]atest (?:(?!\b\d{4}\b)[^;(])*ANSWER(?![^;(]*\b(?!(?P=answer))\d{4}\b)"  # one year alone from there on

# What a constitution's rules of amendment call the legislature; "British Parliament" is another one.
LEGISLATURE = r"(?<!British )(?<!European )ANSWER(?! of the [A-Z])"

# Elements.
_FOUND = r"(?i:discover|isolat|identif|produc|found|made|synthes)\w*"
FOUND_BY, FOUND_BEFORE = rf"{_FOUND}[^;]*?ANSWER", rf"ANSWER[^;]*?{_FOUND}"
FOUND_IN = r"(?i:discovered|identified|produced|found|made|synthesized)\b[^;]*? in (?:[A-Z]\w+ of )?ANSWER"
IN_GROUP = r"\bgroup ANSWER"
LASTS = r"(?:stable|longest)[^;]*? half-life[^.;]*? (?:of|at) (?:about |approximately )?ANSWER"
USED = (
    r"^(?:[A-Z]\w+ is u|U)sed (?:in|for|to make|to|as) (?:the production of |an? )?"
    r"(?!modest|various|many|some|other)ANSWER(?=[,.;]| as )"
)
