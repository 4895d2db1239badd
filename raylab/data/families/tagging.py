"""Token tagging: one tag for each word of `tokens`, as `tags` (or `ner_tags`): texts, or integers. Spans are marked as IOB2
(B-person, I-person, O), Tjong Kim Sang and Veenstra 1999; other tags are taken each by itself."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from raylab.data.families._tagging import ENTRIES
from raylab.data.families.classification import check_seen
from raylab.data.family import Examples, Splits
from raylab.data.fields import short
from raylab.data.rows import Row
from raylab.data.table import Classes, Entry, Layout, Table, required, texts_of
from raylab.data.task import SPLITS, Example, Tagged
from raylab.errors import UserError


class Tagging(Table):
    """span_f1 decides: of whole spans, as CoNLL-2003 counts them; token_accuracy is of the words."""

    __slots__ = ()
    example: ClassVar[type[Example]] = Tagged
    measures: ClassVar[Mapping[str, bool]] = {"span_f1": True, "token_accuracy": True}
    fields: ClassVar[tuple[str, ...]] = ("tokens",)
    datasets: ClassVar[Mapping[str, Entry]] = {entry.name: entry for entry in ENTRIES}
    layouts: ClassVar[tuple[Layout, ...]] = (
        {"tokens": "tokens", "tags": "tags"},
        {"tokens": "tokens", "tags": "ner_tags"},
        {"tokens": "words", "tags": "tags"},
    )

    @classmethod
    def example_of(cls, row: Row, layout: Layout, where: str, name: str, classes: Classes) -> Tagged:
        column = str(layout["tags"])
        tokens, tags = texts_of(row, layout["tokens"], where), required(row, column, where)
        if not isinstance(tags, list) or len(tags) != len(tokens):
            raise UserError(f"{where}: {column} is {short(tags)}; expected a list with one tag for each of {len(tokens)} tokens.")
        return Tagged(id=name, tokens=tokens, tags=tuple(classes.of(tag, column, where) for tag in tags))

    @classmethod
    def finished(cls, splits: Splits, classes: Classes, notes: tuple[str, ...]) -> Examples:
        names, places = classes.ordered()
        final = {
            split: tuple(replace(e, tags=tuple(places[tag] for tag in e.tags)) for e in examples)
            for split, examples in splits.items()
        }
        return Examples(splits=final, labels=names, notes=notes)

    @classmethod
    def check(cls, name: str, splits: Splits, labels: tuple[str, ...]) -> None:
        check_seen(name, {split: {tag for e in splits[split] for tag in e.tags} for split in SPLITS}, labels)
