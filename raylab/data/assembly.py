"""From examples and texts as read to a task: splits completed, unanswerable questions left out, sizes capped."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from raylab.data import splits
from raylab.data.family import Examples, Family, Splits, family_of
from raylab.data.passages import passage
from raylab.data.task import SPLITS, Example, Passage, TaskData


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """A corpus as read."""

    name: str
    passages: tuple[Passage, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is kept: answerable questions only (of question answering), at most `examples` a split, at most `passages` in all."""

    answerable_only: bool = True
    examples: int | None = None
    passages: int | None = None


def assemble(
    examples: Examples, texts: Texts | None, limits: Limits, *, family: type[Family], name: str, source: str, version: int
) -> TaskData:
    """The task made of examples and a corpus: without one, the texts of its own train split, and never their labels.

    Raises UserError if a split has no example left, or train lacks what dev or test ask for.
    """
    three, made = splits.complete(examples.splits, family.noun)
    splits.check_filled(three, "after reading", family.noun)
    apart, left_out = splits.keep_apart(three, family.noun)
    texts = texts or own_texts(name, apart["train"])
    corpus = splits.sample(texts.passages, limits.passages, key=_content)
    grounded, kept = family.ground(apart, corpus, texts.name, limits.answerable_only)
    chosen = _at_most(grounded, limits.examples)
    splits.check_filled(chosen, f"after leaving out repeated {family.left_out}ones", family.noun)
    family.check(name, chosen, examples.labels)
    notes = (*examples.notes, *texts.notes, *made, *left_out, *_capped(texts.passages, corpus), *kept)
    return TaskData(
        name=name, source=source, version=version, splits=chosen, corpus=corpus, corpus_name=texts.name,
        family=family.name(), labels=examples.labels, notes=notes,
    )  # fmt: skip


def own_texts(name: str, train: Iterable[Example]) -> Texts:
    """What a task's train examples ask, as passages: nothing of what they are to be answered with."""
    texts = dict.fromkeys(text for example in train for text in example.texts())
    return Texts(name=f"{name}'s own text", passages=tuple(passage("", text) for text in texts))


def narrow(data: TaskData, limits: Limits, warnings: tuple[str, ...] = ()) -> TaskData:
    """A finished task within the limits: questions whose passage falls out of the corpus go with it."""
    corpus = splits.sample(data.corpus, limits.passages, key=_content)
    there = {p.id for p in corpus}
    held = {s: tuple(e for e in data.splits[s] if not e.passage or e.passage in there) for s in SPLITS}
    chosen = _at_most(held if limits.answerable_only else data.splits, limits.examples)
    splits.check_filled(chosen, f"with {len(corpus):,} passages", family_of(data.family).noun)
    notes = (*data.notes, *_capped(data.corpus, corpus))
    return replace(data, splits=chosen, corpus=corpus, notes=notes, warnings=(*data.warnings, *warnings))


def _at_most(given: Splits, limit: int | None) -> Splits:
    return {split: splits.sample(given[split], limit, key=lambda example: "\n".join(example.inputs())) for split in SPLITS}


def _capped(before: tuple[Passage, ...], after: tuple[Passage, ...]) -> tuple[str, ...]:
    return (f"{len(after):,} of {len(before):,} passages, chosen by hash",) if len(after) < len(before) else ()


def _content(passage: Passage) -> str:
    return f"{passage.title}\n{passage.text}"
