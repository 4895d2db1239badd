"""What a kind of question is made of."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from raylab.data.atlas.answers import Names, itself, listed


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a passage shows that it holds the answer: a regular expression with ANSWER, sought in some sections (or in all).

    A group named `also` holds a second accepted answer; other groups fill the question's template.
    """

    pattern: str = "ANSWER"
    sections: Names = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of question. Its answer comes from a *field* of a record, or is found in the *prose* itself.

    question: template over {name}, {named} and the named groups of the evidence. family: the records it asks about.
    field, read: a field's path, and how accepted names are read out of it; ANSWER in the evidence is then any of them.
    shape: for kinds without a field, the regular expression of an answer; whatever ANSWER matches is the answer.
    evidence: in order of preference. evident: which of the accepted names a passage may show (a surname alone may be
    someone else's). widen: further accepted forms of the answer that stands in the passage.
    rendered: template over {named} and {answer} of a passage for a field's fact that no prose states.
    most: how many questions of the kind are kept, drawn by hash, so that no kind outweighs the others.
    """

    name: str
    question: str
    family: str = "factbook"
    field: str = ""
    read: Callable[[str], Names] = listed
    shape: str = ""
    evidence: tuple[Evidence, ...] = (Evidence(),)
    evident: Callable[[Names], Names] = tuple
    widen: Callable[[str], Names] = itself
    rendered: str = ""
    most: int = 40

    def patterns(self, names: Names) -> tuple[tuple[re.Pattern[str], Names], ...]:
        """Each evidence compiled, ANSWER being one of `names` (or of the kind's shape) as whole words; with its sections."""
        longest_first = sorted(self.evident(names), key=len, reverse=True)
        shape = "|".join(map(re.escape, longest_first)) if self.field else self.shape
        if not shape:
            return ()
        answer = rf"(?<![\w-])(?P<answer>{shape})(?![\w-])"
        return tuple((re.compile(e.pattern.replace("ANSWER", answer)), e.sections) for e in self.evidence)
