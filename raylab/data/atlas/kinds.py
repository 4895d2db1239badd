"""The kinds of question the atlas asks, as one table: to ask something else, add an entry."""

from raylab.data.atlas import answers
from raylab.data.atlas.elements import DESCRIPTION, ORIGIN, USES
from raylab.data.atlas.factbook import AMENDMENT, ANTHEM, BACKGROUND, CAPITAL, CONSTITUTION, FLAG, LOCATION, NAME
from raylab.data.atlas.kind import Evidence, Kind

NAMED = r"[A-Z][\w'-]*(?:\.? (?:(?:of|de|da|do|del|la|le|von|van|bin|ibn|al|the) )*[A-Z][\w'-]*)*"
YEAR = r"1[0-9]\d\d|20[0-2]\d"
QUOTED = r"[^\W\d_][^\"(),;]{1,38}?"
PHRASE = r"[a-z][a-z' -]{2,38}?"
LANGUAGE = r"(?:(?:Old|Middle|Ancient|West|Old High) )?[A-Z][a-z]+(?:-[A-Z][a-z]+)?"

_ENDS = r"(?=[,;.]|$| \(| who\b| which\b| in \d| on \d| and (?:dates|refers|was)| tribe| people| ethnic| family| near| by\b| around| during)"
_NATION = "British|English|Scottish|French|Spanish|Portuguese|Dutch|German|Danish|Swedish|Norwegian|Russian|Austrian|Italian|Greek|US|Boer"
_RANK = "King|Queen|President|Prince|Sultan|Captain|Capt\\.|Sir|General|Governor|Admiral"
_AFTER = (
    r"(?:[Rr]e|\b)[Nn]amed(?: in \d{4})? (?:after|for|in honor of) "
    rf"(?:(?:[a-z'-]+|{_NATION}|{_RANK}) ){{0,5}}(?!(?:{_NATION}|{_RANK}) )ANSWER{_ENDS}"
)
_MEANS = r"^(?!.*(?:suffix|prefix|ending|named it|-\w+ means|\"-|\bmean(?:s|ing)\b.*\bmean(?:s|ing)\b)).*?\b[Mm]ean(?:s|ing)(?: of)?,? (?:either |both |roughly |literally |simply )?\"ANSWER[,;.]?\""
_TONGUE = r"(?:from|is|in|for) (?:the |an? )(?!Western|Northern|Latinized|European)ANSWER (?:words?|terms?|names?|phrase|verb|root|language|expression)\b"
_FOUND = r"(?i:discover|isolat|identif|produc|found|made|synthes)\w*"
_COLOUR = r"red|green|blue|white|yellow|black|gold|orange"
_STANDS = r"(?:stands? for|represents?|symbolizes?|signif(?:y|ies)|denotes?|for)"

KINDS = (
    Kind(
        name="capital",
        question="What is the capital of {named}?",
        field="Government/Capital/name",
        read=answers.place,
        evidence=(
            Evidence(r"capital[^.;]{0,60}?ANSWER"),
            Evidence(r"ANSWER[^.;]{0,60}?\bcapital"),
            Evidence("ANSWER", (CAPITAL,)),
        ),
        rendered="The capital of {named} is {answer}.",
        most=110,
    ),
    Kind(
        name="capital_namesake",
        question="Who or what gave the capital of {named} its name?",
        shape=NAMED,
        evidence=(Evidence(_AFTER, (CAPITAL,)),),
        widen=answers.person,
    ),
    Kind(
        name="capital_meaning",
        question="What does the name of the capital of {named} mean?",
        shape=QUOTED,
        evidence=(Evidence(_MEANS, (CAPITAL,)),),
        widen=answers.phrase,
    ),
    Kind(
        name="capital_language",
        question="From which language does the name of the capital of {named} come?",
        shape=LANGUAGE,
        evidence=(Evidence(_TONGUE, (CAPITAL,)),),
    ),
    Kind(
        name="namesake",
        question="Who or what gave {named} its name?",
        shape=NAMED,
        evidence=(Evidence(_AFTER, (NAME,)),),
        widen=answers.person,
    ),
    Kind(
        name="meaning",
        question="What does the name of {named} mean?",
        shape=QUOTED,
        evidence=(Evidence(_MEANS, (NAME,)),),
        widen=answers.phrase,
    ),
    Kind(
        name="name_language",
        question="From which language does the name of {named} come?",
        shape=LANGUAGE,
        evidence=(Evidence(_TONGUE, (NAME,)),),
    ),
    Kind(name="former_name", question="What is a former name of {named}?", field="Government/Country name/former"),
    Kind(
        name="legislature",
        question="What is the legislature of {named} called?",
        field="Government/Legislative branch/legislature name",
        read=answers.translated,
        evidence=(
            Evidence(r"(?<![A-Z][a-z]{3} )(?<!British )(?<!European )ANSWER(?! of the [A-Z])", (AMENDMENT,)),
            Evidence(r"(?<!British )(?<!European )ANSWER(?! of the [A-Z])", (BACKGROUND,)),
        ),
        most=80,
    ),
    Kind(
        name="independence_year",
        question="In which year did {named} become independent?",
        field="Government/Independence",
        read=answers.first_year,
        evidence=(Evidence(r"\b[Ii]ndependen[^;]*?ANSWER"), Evidence(r"ANSWER[^;]*?\bindependen")),
        most=80,
    ),
    Kind(
        name="independence_from",
        question="From which country did {named} become independent?",
        field="Government/Independence",
        read=answers.ruler,
        evidence=(
            Evidence(r"\b[Ii]ndependen[^.;]{0,40}? from (?:the )?ANSWER"),
            Evidence(r"\b[Ii]ndependen[^;]*?(?:breakup|collapse|dissolution|fall) of the ANSWER"),
            Evidence(r"(?:breakup|collapse|dissolution|fall) of the ANSWER[^;]*?\bindependen"),
            Evidence(r"ANSWER (?:granted|recognized|gave|relinquished)[^;]*?\bindependen"),
        ),
    ),
    Kind(
        name="demonym",
        question="Which adjective describes a person from {named}?",
        field="People and Society/Nationality/adjective",
    ),
    Kind(
        name="head_of_state",
        question="Who is the head of state of {named}?",
        field="Government/Executive branch/chief of state",
        read=answers.officeholder,
        evident=answers.full_names,
    ),
    Kind(
        name="head_of_government",
        question="Who is the head of government of {named}?",
        field="Government/Executive branch/head of government",
        read=answers.officeholder,
        evident=answers.full_names,
        evidence=(
            Evidence(r"(?:[Pp]rime [Mm]inister|[Pp]remier|[Cc]hancellor|head of government)[^;]*?ANSWER"),
            Evidence(r"ANSWER[^;]*?(?:prime minister|premier|chancellor|head of government)"),
        ),
    ),
    Kind(
        name="anthem_year",
        question="In which year was the anthem of {named} adopted?",
        shape=YEAR,
        evidence=(Evidence(r"\b[Aa]dopted (?:in )?ANSWER", (ANTHEM,)),),
    ),
    Kind(
        name="constitution_year",
        question="From which year is the constitution of {named}?",
        shape=YEAR,
        evidence=(Evidence(r"\b[Ll]atest (?:(?!\b\d{4}\b)[^;(])*ANSWER(?![^;(]*\b(?!(?P=answer))\d{4}\b)", (CONSTITUTION,)),),
    ),
    Kind(
        name="joined_year",
        question="In which year did {named} join {body}?",
        shape=YEAR,
        evidence=(
            Evidence(
                r"\b(?:joined|acceded to|became a member of|entered) "
                r"(?P<body>the EU|NATO|the UN|the OECD|the WTO|the euro zone|the European Union)\b[^.;]{0,30}? in (?:\w+ )?ANSWER",
                (BACKGROUND,),
            ),
        ),
    ),
    Kind(
        name="status_year",
        question="In which year did {named} become {status}?",
        shape=YEAR,
        evidence=(
            Evidence(
                r"(?:became|declared|made|established|proclaimed)[^.;,]{0,40}? (?P<status>an? (?:[A-Z][a-z]+ )?(?:crown colony|colony"
                r"|protectorate|overseas territory|republic|kingdom|constitutional monarchy|federation))\b[^.;]{0,20}? in ANSWER",
                (BACKGROUND,),
            ),
        ),
    ),
    Kind(
        name="flag_colour",
        question="What does {colour} stand for in the flag of {named}?",
        shape=PHRASE,
        evidence=(
            Evidence(
                rf"(?<!\w)(?P<colour>(?i:{_COLOUR}))(?: color| stripe| band)? {_STANDS} (?:the )?ANSWER(?=[,;.]| and (?:the )?(?:{_COLOUR}) )",
                (FLAG,),
            ),
        ),
        widen=answers.phrase,
    ),
    Kind(
        name="region",
        question="In which part of the world can {named} be found?",
        shape=NAMED,
        evidence=(Evidence(r"^ANSWER(?=,| in | on )", (LOCATION,)),),
    ),
    Kind(
        name="waters",
        question="On which body of water is the coast of {named}?",
        shape=NAMED,
        evidence=(
            Evidence(
                r"^(?!.*bordering.*bordering).*bordering the ANSWER(?=\.|, (?:between|north|south|east|west|just|off|[a-z]+ of) )",
                (LOCATION,),
            ),
        ),
    ),
    Kind(
        name="ocean",
        question="In which body of water can {named} be found?",
        shape=NAMED,
        evidence=(Evidence(r"(?:islands?|group|archipelago|atolls?)[^;]*? in the (?:[a-z]+ )*ANSWER(?=[,.])", (LOCATION,)),),
    ),
    Kind(
        name="currency",
        question="What is the currency of {named}?",
        field="Economy/Exchange rates/Currency",
        read=answers.currency,
        evidence=(Evidence(r"(?:currency|adopted|introduced)[^.;]*?ANSWER"),),
        rendered="The currency of {named} is the {answer}.",
    ),
    Kind(
        name="highest_point",
        question="What is the highest point of {named}?",
        field="Geography/Elevation/highest point",
        read=answers.summit,
        evidence=(Evidence(r"(?:highest|tallest)[^;]*?ANSWER"), Evidence(r"ANSWER[^;]*?(?:highest|tallest)")),
        rendered="The highest point of {named} is {answer}.",
    ),
    Kind(
        name="neighbour",
        question="Which country shares the longest border with {named}?",
        field="Geography/Land boundaries/border countries",
        read=answers.longest,
        evidence=(),
        rendered="The longest border of {named} is the one with {answer}.",
    ),
    Kind(
        name="language",
        question="Which language is official in {named}?",
        field="People and Society/Languages/Languages",
        read=answers.language,
        evidence=(Evidence(r"ANSWER (?:[a-z]+ )?language"), Evidence(r"language[^.;]*?ANSWER")),
        rendered="{answer} is an official language of {named}.",
    ),
    Kind(
        name="discoverer",
        family="elements",
        question="Who discovered {named}?",
        field="discoverers",
        read=answers.discoverers,
        evidence=(Evidence(rf"{_FOUND}[^;]*?ANSWER"), Evidence(rf"ANSWER[^;]*?{_FOUND}")),
    ),
    Kind(
        name="discovery_year",
        family="elements",
        question="In which year was {named} discovered?",
        shape=YEAR,
        evidence=(
            Evidence(
                r"(?i:discovered|identified|produced|found|made|synthesized)\b[^;]*? in (?:[A-Z]\w+ of )?ANSWER", (DESCRIPTION,)
            ),
        ),
    ),
    Kind(
        name="group",
        family="elements",
        question="To which group of the periodic table does {named} belong?",
        shape=r"\d{1,2}",
        evidence=(Evidence(r"\bgroup ANSWER", (DESCRIPTION,)),),
    ),
    Kind(
        name="half_life",
        family="elements",
        question="What is the half-life of the most stable isotope of {named}?",
        shape=r"[\d.]+ (?:years|days|hours|minutes|seconds|ms|s)",
        evidence=(
            Evidence(r"(?:stable|longest)[^;]*? half-life[^.;]*? (?:of|at) (?:about |approximately )?ANSWER", (DESCRIPTION,)),
        ),
    ),
    Kind(
        name="element_namesake",
        family="elements",
        question="Who or what gave {named} its name?",
        shape=NAMED,
        evidence=(
            Evidence(
                r"(?:[Nn]amed (?:for|after|in honor of)|^From) (?:(?:[a-z,-]+|Greek|Roman|Swedish) )*ANSWER" + _ENDS, (ORIGIN,)
            ),
        ),
        widen=answers.person,
    ),
    Kind(
        name="use",
        family="elements",
        question="What is {named} used for?",
        shape=PHRASE,
        evidence=(
            Evidence(
                r"^(?:[A-Z]\w+ is u|U)sed (?:in|for|to make|to|as) (?:the production of |an? )?ANSWER(?=[,.;]| and | as )",
                (USES,),
            ),
        ),
        widen=answers.phrase,
    ),
)
