"""A small task of every family, made up of simple rules that a tiny model learns in seconds."""

import random
from collections.abc import Sequence
from typing import Any

from raylab.data.task import SPLITS, Choice, Extract, Labelled, Passage, Question, Rewrite, Scored, Tagged, TaskData

COLOURS, ANIMALS = ("red", "blue", "green", "white"), ("fox", "hen", "ox", "owl", "cat")
SIZES = {"train": 48, "dev": 12, "test": 12}


def task(family: str) -> TaskData:
    """The task of that family."""
    make, labels = _FAMILIES[family]
    splits = {split: tuple(make(f"{split}-{i}", random.Random(f"{split}-{i}")) for i in range(SIZES[split])) for split in SPLITS}
    texts = [" ".join(example.inputs()) for example in splits["train"]]
    corpus = tuple(Passage(id=str(i), title="", text=text) for i, text in enumerate(texts))
    return TaskData(
        name=f"invented_{family}", source="builtin:invented", version=1, splits=splits, corpus=corpus, corpus_name="invented",
        family=family, labels=tuple(labels),
    )  # fmt: skip


def _scene(draw: random.Random) -> tuple[str, str]:
    return draw.choice(COLOURS), draw.choice(ANIMALS)


def _labelled(id: str, draw: random.Random) -> Labelled:
    colour, animal = _scene(draw)
    return Labelled(id=id, text=f"there is a {colour} {animal}", text_b="in the wood", label=COLOURS.index(colour))


def _scored(id: str, draw: random.Random) -> Scored:
    colour, animal = _scene(draw)
    return Scored(id=id, text=f"a {colour} {animal}", text_b="", score=10.0 + 3 * COLOURS.index(colour))


def _choice(id: str, draw: random.Random) -> Choice:
    colour, animal = _scene(draw)
    choices = draw.sample(COLOURS, draw.choice([2, 3]))
    if colour not in choices:
        choices[0] = colour
    return Choice(id=id, text=f"a {colour} {animal}", choices=tuple(choices), label=choices.index(colour))


def _extract(id: str, draw: random.Random) -> Extract:
    colour, animal = _scene(draw)
    before = " ".join(["once upon a time"] * draw.choice([1, 4, 9]))
    text = f"{before} there was a {colour} {animal} who slept"
    return Extract(id=id, text=text, question="which animal ?", answers=(animal,), starts=(text.index(f" {animal} ") + 1,))


def _tagged(id: str, draw: random.Random) -> Tagged:
    tokens: list[str] = []
    tags: list[int] = []
    for _ in range(draw.choice([1, 2, 3])):
        tokens += ["a", *_scene(draw)]
        tags += [0, 1, 2]
    return Tagged(id=id, tokens=tuple(tokens), tags=tuple(tags))


def _rewrite(id: str, draw: random.Random) -> Rewrite:
    colour, animal = _scene(draw)
    return Rewrite(id=id, source=f"a {colour} {animal} slept", target=animal, references=(animal, f"the {animal}"))


def _question(id: str, draw: random.Random) -> Question:
    colour, animal = _scene(draw)
    return Question(id=id, question=f"what is a {colour} {animal}?", answer=colour, answers=(colour,))


_FAMILIES: dict[str, tuple[Any, Sequence[str]]] = {
    "classification": (_labelled, COLOURS),
    "regression": (_scored, ()),
    "multiple_choice": (_choice, ()),
    "span": (_extract, ()),
    "tagging": (_tagged, ("O", "B-animal", "I-animal")),
    "generation": (_rewrite, ()),
    "question_answering": (_question, ()),
}
