"""Tasks over invented words, of which some help a target and some hurt it, by construction.

Every word is of one of three classes, and a text's label is the class that most of its words have. The target has few examples.
The two helpers class the target's words as it does, each half of them (with some of both): only the two together tell it all.
The harmful tasks class the same words, but each at random: words that the target tells apart become alike. The neutral ones
have words of their own. Harmful tasks are large and helpers small, so that proportions by size are bad ones.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from raylab.data.prepared import Preparation, Prepared, prepare
from raylab.data.task import Labelled, TaskData
from raylab.recipe import ModelSpec, Recipe, digest
from raylab.seeds import derive
from raylab.stages.finetune import Finetune
from raylab.stages.pre_finetune import PreFinetune
from raylab.training.optimizer import Optimization

TARGET = "target"
HELPFUL, HARMFUL, NEUTRAL = ("helper_a", "helper_b"), ("harmful_a", "harmful_b"), ("neutral_a", "neutral_b")
SOURCES = (*HELPFUL, *HARMFUL, *NEUTRAL)
LABELS = ("sun", "moon", "star")
WORDS, SHARED = 48, 4  # of the target and of the neutral tasks, each; known to a helper beyond its half
LENGTH = 5  # words of a text
SIZES: Mapping[str, Mapping[str, int]] = MappingProxyType({
    TARGET: {"train": 96, "dev": 300, "test": 300},
    **{name: {"train": 400, "dev": 30, "test": 30} for name in HELPFUL},
    **{name: {"train": 1600, "dev": 30, "test": 30} for name in HARMFUL},
    **{name: {"train": 800, "dev": 30, "test": 30} for name in NEUTRAL},
})  # fmt: skip
BY_SIZE = MappingProxyType({name: float(SIZES[name]["train"]) for name in SOURCES})
ALIKE = MappingProxyType(dict.fromkeys(SOURCES, 1.0))
VERSION = 1


def tasks(seed: int = 7) -> dict[str, TaskData]:
    """The target and the sources, by name."""
    words = _words(2 * WORDS, seed)
    own, others = words[:WORDS], words[WORDS:]
    half = WORDS // 2
    known = {"helper_a": own[: half + SHARED], "helper_b": own[half - SHARED :]}
    true = _classes(own, seed, TARGET)
    found = {}
    for name in (TARGET, *SOURCES):
        spoken = known.get(name, others if name in NEUTRAL else own)
        classes = true if name in (TARGET, *HELPFUL) else _classes(spoken, seed, name)
        found[name] = _task(name, spoken, classes, seed)
    return found


def prepared(folder: Path) -> Prepared:
    """The target with its sources, ready to train on, below `folder`."""
    made = tasks()
    sources = {digest([VERSION, name]): made[name] for name in SOURCES}
    return prepare(made[TARGET], digest([VERSION, TARGET]), Preparation(vocab_size=500, max_tokens=32), folder, sources=sources)


def recipe(weights: Mapping[str, float] | None, *, steps: int = 80) -> Recipe:
    """Pre-finetuning on the sources in these proportions, those of weight 0 left out, then finetuning on the target; without
    weights, finetuning alone."""
    base = ModelSpec(family="roberta", width=32, layers=1, dropout=0.0)
    stages = (_mixed(weights, steps),) if weights else ()
    return Recipe(base=base, stages=stages, task=TARGET, finetune=Finetune(steps=40, batch_size=16))


def _mixed(weights: Mapping[str, float], steps: int) -> PreFinetune:
    whole = sum(weights.values())
    shares = {name: round(weights[name] / whole, 6) for name in SOURCES if weights.get(name, 0.0) > 0}
    return PreFinetune(
        tasks=tuple(shares), weights=tuple(shares.values()), steps=steps, part_rows=16,
        optimization=Optimization(learning_rate=4e-3, warmup=0.1, decay=0.4),
    )  # fmt: skip


def _words(count: int, seed: int) -> list[str]:
    """Invented words of two open syllables."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    chosen = np.random.default_rng(seed).permutation(len(syllables) ** 2)[:count].tolist()
    return [syllables[place // len(syllables)] + syllables[place % len(syllables)] for place in chosen]


def _classes(words: Sequence[str], seed: int, name: str) -> dict[str, int]:
    """A class for every word, each of about as many."""
    places = np.random.default_rng(derive(seed, "classes", name)).permutation(len(words))
    return {word: int(place) % len(LABELS) for word, place in zip(words, places, strict=True)}


def _task(name: str, words: Sequence[str], classes: Mapping[str, int], seed: int) -> TaskData:
    rng, texts = np.random.default_rng(derive(seed, "texts", name)), dict[str, int]()
    while len(texts) < sum(SIZES[name].values()):
        chosen = [words[place] for place in rng.integers(len(words), size=LENGTH)]
        counts = np.bincount([classes[word] for word in chosen], minlength=len(LABELS))
        if (counts == counts.max()).sum() == 1:
            texts[" ".join(chosen)] = int(counts.argmax())
    examples = iter([Labelled(id=f"{name}-{n}", text=text, label=label) for n, (text, label) in enumerate(texts.items())])
    splits = {split: tuple(next(examples) for _ in range(size)) for split, size in SIZES[name].items()}
    return TaskData(
        name=name, source="builtin:planted", version=VERSION, splits=splits, corpus=(), corpus_name="", family="classification",
        labels=LABELS,
    )  # fmt: skip
