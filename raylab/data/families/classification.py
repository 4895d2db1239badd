"""Classification of a text, or of a pair of texts: a user's rows have one of the LAYOUTS, `label` as text, integer or true/false.

The classes are in the order of their numbers, or else of the alphabet; a dataset of the table has its own order.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from raylab.data.families._classification import ENTRIES
from raylab.data.family import Examples, Splits
from raylab.data.fields import at
from raylab.data.rows import Row
from raylab.data.table import Classes, Entry, Layout, Path, Table, required, text_of
from raylab.data.task import SPLITS, Example, Labelled
from raylab.errors import UserError

COLUMN_PAIRS = (
    ("premise", "hypothesis"), ("text_a", "text_b"), ("question", "sentence"), ("sentence1", "sentence2"),
    ("question1", "question2"), ("passage", "question"),
)  # fmt: skip
TEXT_COLUMNS: tuple[Path, ...] = (("title", "text"), "text", "sentence")
PAIRS: tuple[Layout, ...] = tuple({"text": first, "text_b": second, "label": "label"} for first, second in COLUMN_PAIRS)
SINGLES: tuple[Layout, ...] = tuple({"text": column, "label": "label"} for column in TEXT_COLUMNS)
WORD_IN_CONTEXT: Layout = {"text": ("word", "sentence1"), "text_b": "sentence2", "label": "label"}
COREFERENCE: Layout = {"text": "text", "text_b": ("target.span2_text", "target.span1_text"), "label": "label"}


class Classification(Table):
    """accuracy decides; macro_f1 is the mean of the classes' F1; matthews_correlation is CoLA's."""

    __slots__ = ()
    example: ClassVar[type[Example]] = Labelled
    measures: ClassVar[Mapping[str, bool]] = {
        "accuracy": True, "bits_per_label": False, "macro_f1": True, "matthews_correlation": True,
    }  # fmt: skip
    fields: ClassVar[tuple[str, ...]] = ("text", "text_b")
    datasets: ClassVar[Mapping[str, Entry]] = {entry.name: entry for entry in ENTRIES}
    layouts: ClassVar[tuple[Layout, ...]] = (*SINGLES, *PAIRS, WORD_IN_CONTEXT, COREFERENCE)

    @classmethod
    def has(cls, row: Row, layout: Layout) -> bool:
        label = at(row, str(layout["label"]))
        return super().has(row, layout) and not (isinstance(label, float) and not label.is_integer())

    @classmethod
    def example_of(cls, row: Row, layout: Layout, where: str, name: str, classes: Classes) -> Labelled:
        column = str(layout["label"])
        text = text_of(row, layout["text"], where)
        text_b = text_of(row, layout["text_b"], where) if "text_b" in layout else ""
        return Labelled(id=name, text=text, text_b=text_b, label=classes.of(required(row, column, where), column, where))

    @classmethod
    def finished(cls, splits: Splits, classes: Classes, notes: tuple[str, ...]) -> Examples:
        names, places = classes.ordered()
        final = {split: tuple(replace(e, label=places[e.label]) for e in examples) for split, examples in splits.items()}
        return Examples(splits=final, labels=names, notes=notes)

    @classmethod
    def check(cls, name: str, splits: Splits, labels: tuple[str, ...]) -> None:
        check_seen(name, {split: {e.label for e in splits[split]} for split in SPLITS}, labels)
        if len(labels) < 2:
            raise UserError(f"{name} has one class, {labels[0]!r}; expected two at least. Is `label` the right column?")
        if len(labels) > 20 and len(labels) > len(splits["train"]) / 2:
            raise UserError(
                f"{name} has {len(labels):,} classes for {len(splits['train']):,} train examples, more than half as many; "
                "expected labels that repeat. Numbers to be predicted go into `score`, texts to be written into `target`."
            )


def check_seen(name: str, classes: Mapping[str, set[int]], labels: tuple[str, ...]) -> None:
    """Raise UserError if a class of dev or test is not in train. classes: places in `labels`, by split."""
    for split in SPLITS[1:]:
        unseen = sorted(classes[split] - classes["train"])
        if unseen:
            raise UserError(
                f"{name}: no train example has the class {labels[unseen[0]]!r}, which {split} has, so that it cannot be learned. "
                "Give train examples of it, leave it out, or read more examples."
            )
