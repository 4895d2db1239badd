"""How much of what a task is judged by can be read in another's train split: counted in the texts, whatever the tasks are called.

Data sets are made of one another: sentences of one review corpus stand in several, questions about passages become pairs.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from raylab.data.remembered import content_of, counted_again
from raylab.data.scoring import normalise
from raylab.data.task import SPLITS, Example, TaskData

LEAST_WORDS = 5  # shorter texts ("yes", an answer) stand in many tasks that have nothing to do with one another
COUNTED = "overlap 1"  # raised when the same tasks would be counted otherwise


def overlap(target: TaskData, source: TaskData) -> float:
    """The share of the target's dev and test examples of which a text stands in the source's train split: whole, of at least
    LEAST_WORDS words, compared without case and punctuation."""
    return counted_again(COUNTED, [content_of(target), content_of(source)], partial(_counted, target, source))


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
