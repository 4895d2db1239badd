"""From questions and texts as read to a task: splits completed, unanswerable questions left out, sizes capped."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from raylab.data import splits
from raylab.data.answerable import answerable, occurrences, with_canonical_answer
from raylab.data.splits import Splits
from raylab.data.task import SPLITS, Example, Passage, TaskData
from raylab.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Questions:
    """Questions as read: the splits that were there, the passages that rows carried, and what was noteworthy."""

    splits: Mapping[str, tuple[Example, ...]]
    passages: tuple[Passage, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """A corpus as read."""

    name: str
    passages: tuple[Passage, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What is kept: answerable questions only, at most `examples` a split, at most `passages` in all."""

    answerable_only: bool = True
    examples: int | None = None
    passages: int | None = None


def assemble(questions: Questions, texts: Texts, limits: Limits, *, name: str, source: str, version: int) -> TaskData:
    """The task made of questions and a corpus. Raises UserError if a split has no question left."""
    three, made = splits.complete(questions.splits)
    splits.check_filled(three, "after reading")
    apart, left_out = splits.keep_apart(three)
    corpus = splits.sample(texts.passages, limits.passages, key=_content)
    grounded, kept = _ground(apart, corpus, texts.name, limits.answerable_only)
    chosen = _at_most(grounded, limits.examples)
    splits.check_filled(chosen, "after leaving out repeated and unanswerable ones")
    notes = (*questions.notes, *texts.notes, *made, *left_out, *_capped(texts.passages, corpus), *kept)
    return TaskData(
        name=name, source=source, version=version, splits=chosen, corpus=corpus, corpus_name=texts.name, notes=notes
    )  # fmt: skip


def narrow(data: TaskData, limits: Limits, warnings: tuple[str, ...] = ()) -> TaskData:
    """A finished task within the limits: questions whose passage falls out of the corpus go with it."""
    corpus = splits.sample(data.corpus, limits.passages, key=_content)
    there = {p.id for p in corpus}
    held = {s: tuple(e for e in data.splits[s] if not e.passage or e.passage in there) for s in SPLITS}
    chosen = _at_most(held if limits.answerable_only else data.splits, limits.examples)
    splits.check_filled(chosen, f"with {len(corpus):,} passages")
    notes = (*data.notes, *_capped(data.corpus, corpus))
    return replace(data, splits=chosen, corpus=corpus, notes=notes, warnings=(*data.warnings, *warnings))


def _ground(given: Splits, corpus: tuple[Passage, ...], corpus_name: str, only: bool) -> tuple[Splits, tuple[str, ...]]:
    """Examples with the canonical answer the corpus gives them; with `only`, those alone of which it has an alias."""
    counts = occurrences((e for split in SPLITS for e in given[split]), (p.text for p in corpus))
    there = {p.id for p in corpus}
    every = {split: tuple(_within(with_canonical_answer(e, counts), there) for e in given[split]) for split in SPLITS}
    kept = {split: tuple(e for e in every[split] if not only or answerable(e, counts)) for split in SPLITS}
    moved = sum(e.answer != now.answer for split in SPLITS for e, now in zip(given[split], every[split], strict=True))
    return kept, _grounding_notes(_total(given), _total(kept), moved, corpus_name, only)


def _total(given: Splits) -> int:
    return sum(len(examples) for examples in given.values())


def _within(example: Example, there: set[str]) -> Example:
    return example if not example.passage or example.passage in there else replace(example, passage="", rendered=False)


def _grounding_notes(asked: int, kept: int, moved: int, corpus_name: str, only: bool) -> tuple[str, ...]:
    if not kept:
        raise UserError(
            f"none of the {asked:,} questions has an answer in the corpus {corpus_name}; nothing could be learned from it. "
            "Give another --corpus, or keep them all with --no-answerable-only."
        )
    count = f"{kept:,} of {asked:,} questions are answerable: an accepted answer stands in {corpus_name} as whole words"
    canonical = f"{moved:,} canonical answers are the alias that stands most often in {corpus_name}, as the given one does not"
    return ((count,) if only else ()) + ((canonical,) if moved else ())


def _at_most(given: Splits, limit: int | None) -> Splits:
    return {split: splits.sample(given[split], limit, key=lambda example: example.question) for split in SPLITS}


def _capped(before: tuple[Passage, ...], after: tuple[Passage, ...]) -> tuple[str, ...]:
    return (f"{len(after):,} of {len(before):,} passages, chosen by hash",) if len(after) < len(before) else ()


def _content(passage: Passage) -> str:
    return f"{passage.title}\n{passage.text}"
