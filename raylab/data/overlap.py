"""How much of what a task is judged by can be read in another's train split: counted in the texts, whatever the tasks are called.

Data sets are made of one another: sentences of one review corpus stand in several, questions about passages become pairs.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator

from raylab.data.files import written_once
from raylab.data.remembered import content_of
from raylab.data.scoring import normalise
from raylab.data.task import SPLITS, Example, TaskData
from raylab.recipe import digest
from raylab.storage import cache_folder

FOLDER = "overlaps"
LEAST_WORDS = 5  # shorter texts ("yes", an answer) stand in many tasks that have nothing to do with one another
VERSION = 1  # raised when the same tasks would be counted otherwise
_log = logging.getLogger(__name__)


def overlap(target: TaskData, source: TaskData) -> float:
    """The share of the target's dev and test examples of which a text stands in the source's train split: whole, of at least
    LEAST_WORDS words, compared without case and punctuation. Found again where these two were compared before."""
    path = cache_folder() / FOLDER / digest([content_of(target), content_of(source), VERSION])
    if path.exists():
        return float(path.read_text(encoding="utf-8"))
    share = _counted(target, source)
    try:
        with written_once(path) as temporary:
            temporary.write_text(str(share), encoding="utf-8")
    except OSError as error:
        _log.warning("what %s and %s share could not be remembered (%s)", target.name, source.name, error)
    return share


def _counted(target: TaskData, source: TaskData) -> float:
    judged = [example for split in SPLITS[1:] for example in target.splits[split]]
    where = defaultdict[str, set[int]](set)
    for number, example in enumerate(judged):
        for text in _texts(example):
            where[text].add(number)
    found = set[int]()
    for example in source.splits["train"]:
        found.update(*(where[text] for text in _texts(example) if text in where))
    return len(found) / len(judged)


def _texts(example: Example) -> Iterator[str]:
    plain = map(normalise, example.inputs())
    return (text for text in plain if len(text.split()) >= LEAST_WORDS)
