"""The kinds of question the atlas asks, as one table: to ask something else, add an entry."""

from raylab.data.atlas import answers
from raylab.data.atlas import expressions as e
from raylab.data.atlas.elements import DESCRIPTION, ORIGIN, USES
from raylab.data.atlas.factbook import AMENDMENT, ANTHEM, BACKGROUND, CAPITAL, CONSTITUTION, FLAG, LOCATION, NAME
from raylab.data.atlas.kind import Evidence, Kind

_COUNTRIES = (
    Kind(
        name="capital",
        question="What is the capital of {named}?",
        field="Government/Capital/name",
        read=answers.place,
        evidence=(Evidence(e.CAPITAL_AFTER), Evidence(e.CAPITAL_BEFORE), Evidence("ANSWER", (CAPITAL,))),
        rendered="The capital of {named} is {answer}.",
        most=110,
    ),
    Kind(
        name="capital_namesake",
        question="Who or what gave the capital of {named} its name?",
        shape=e.NAME,
        evidence=(Evidence(e.NAMED_AFTER, (CAPITAL,)),),
        widen=answers.person,
    ),
    Kind(
        name="capital_meaning",
        question="What does the name of the capital of {named} mean?",
        shape=e.QUOTED,
        evidence=(Evidence(e.MEANS, (CAPITAL,)),),
        widen=answers.phrase,
    ),
    Kind(
        name="capital_language",
        question="From which language does the name of the capital of {named} come?",
        shape=e.LANGUAGE,
        evidence=(Evidence(e.WORD_OF_LANGUAGE, (CAPITAL,)),),
    ),
    Kind(
        name="namesake",
        question="Who or what gave {named} its name?",
        shape=e.NAME,
        evidence=(Evidence(e.NAMED_AFTER, (NAME,)),),
        widen=answers.person,
    ),
    Kind(
        name="meaning",
        question="What does the name of {named} mean?",
        shape=e.QUOTED,
        evidence=(Evidence(e.MEANS, (NAME,)),),
        widen=answers.phrase,
    ),
    Kind(
        name="name_language",
        question="From which language does the name of {named} come?",
        shape=e.LANGUAGE,
        evidence=(Evidence(e.WORD_OF_LANGUAGE, (NAME,)),),
    ),
    Kind(
        name="former_name",
        question="What is a former name of {named}?",
        field="Government/Country name/former",
        evidence=(Evidence(e.CALLED_AFTER), Evidence(e.CALLED_BEFORE)),
    ),
    Kind(
        name="legislature",
        question="What is the legislature of {named} called?",
        field="Government/Legislative branch/legislature name",
        read=answers.translated,
        evidence=(Evidence(e.LEGISLATURE, (AMENDMENT,)), Evidence(e.LEGISLATURE, (BACKGROUND,))),
        most=80,
    ),
    Kind(
        name="independence_year",
        question="In which year did {named} become independent?",
        field="Government/Independence",
        read=answers.first_year,
        evidence=(Evidence(e.INDEPENDENT_AFTER), Evidence(e.INDEPENDENT_BEFORE)),
        most=80,
    ),
    Kind(
        name="independence_from",
        question="From which country did {named} become independent?",
        field="Government/Independence",
        read=answers.ruler,
        evidence=(
            Evidence(e.INDEPENDENT_FROM),
            Evidence(e.INDEPENDENT_AS_RULE_ENDED),
            Evidence(e.RULE_ENDED),
            Evidence(e.GRANTED_INDEPENDENCE),
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
        most=24,
    ),
    Kind(
        name="anthem_year",
        question="In which year was the anthem of {named} adopted?",
        shape=e.YEAR,
        evidence=(Evidence(e.ADOPTED, (ANTHEM,)),),
    ),
    Kind(
        name="constitution_year",
        question="From which year is the constitution of {named}?",
        shape=e.YEAR,
        evidence=(Evidence(e.LATEST, (CONSTITUTION,)),),
    ),
    Kind(
        name="joined_year",
        question="In which year did {named} join {body}?",
        shape=e.YEAR,
        evidence=(Evidence(e.JOINED, (BACKGROUND,)),),
    ),
    Kind(
        name="status_year",
        question="In which year did {named} become {status}?",
        shape=e.YEAR,
        evidence=(Evidence(e.BECAME, (BACKGROUND,)),),
    ),
    Kind(
        name="flag_colour",
        question="What does {colour} stand for in the flag of {named}?",
        shape=e.PHRASE,
        evidence=(Evidence(e.FLAG_COLOUR, (FLAG,)),),
        widen=answers.phrase,
    ),
    Kind(
        name="region",
        question="In which part of the world can {named} be found?",
        shape=e.NAME,
        evidence=(Evidence(e.REGION, (LOCATION,)),),
    ),
    Kind(
        name="coast",
        question="On which body of water is the coast of {named}?",
        shape=e.NAME,
        evidence=(Evidence(e.COAST, (LOCATION,)),),
    ),
    Kind(
        name="ocean",
        question="In which body of water can {named} be found?",
        shape=e.NAME,
        evidence=(Evidence(e.ISLANDS_IN, (LOCATION,)),),
    ),
    Kind(
        name="currency",
        question="What is the currency of {named}?",
        field="Economy/Exchange rates/Currency",
        read=answers.currency,
        evidence=(Evidence(e.CURRENCY),),
        rendered="The currency of {named} is the {answer}.",
    ),
    Kind(
        name="highest_point",
        question="What is the highest point of {named}?",
        field="Geography/Elevation/highest point",
        read=answers.summit,
        evidence=(Evidence(e.HIGHEST_AFTER), Evidence(e.HIGHEST_BEFORE)),
        rendered="The highest point of {named} is {answer}.",
        most=24,
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
        read=answers.languages,
        evidence=(Evidence(e.LANGUAGE_BEFORE), Evidence(e.LANGUAGE_AFTER)),
        rendered="{answer} is an official language of {named}.",
    ),
)

_ELEMENTS = (
    Kind(
        name="discoverer",
        family="elements",
        question="Who discovered {named}?",
        field="discoverers",
        read=answers.discoverers,
        evidence=(Evidence(e.FOUND_BY), Evidence(e.FOUND_BEFORE)),
    ),
    Kind(
        name="discovery_year",
        family="elements",
        question="In which year was {named} discovered?",
        shape=e.YEAR,
        evidence=(Evidence(e.FOUND_IN, (DESCRIPTION,)),),
    ),
    Kind(
        name="group",
        family="elements",
        question="To which group of the periodic table does {named} belong?",
        shape=e.GROUP,
        evidence=(Evidence(e.IN_GROUP, (DESCRIPTION,)),),
    ),
    Kind(
        name="half_life",
        family="elements",
        question="What is the half-life of the most stable isotope of {named}?",
        shape=e.HALF_LIFE,
        evidence=(Evidence(e.LASTS, (DESCRIPTION,)),),
    ),
    Kind(
        name="element_namesake",
        family="elements",
        question="Who or what gave {named} its name?",
        shape=e.NAME,
        evidence=(Evidence(e.ELEMENT_NAMED_AFTER, (ORIGIN,)),),
        widen=answers.person,
    ),
    Kind(
        name="use",
        family="elements",
        question="What is {named} used for?",
        shape=e.PHRASE,
        evidence=(Evidence(e.USED, (USES,)),),
        widen=answers.phrase,
    ),
)

KINDS = (*_COUNTRIES, *_ELEMENTS)
