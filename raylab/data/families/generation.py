"""Generation: from a `source` to a `target` text: summaries, titles, answers in sentences, reactants of a product."""

from collections.abc import Mapping
from typing import ClassVar

from raylab.data.families._generation import ENTRIES
from raylab.data.rows import Row
from raylab.data.table import Classes, Entry, Layout, Table, text_of, texts_of
from raylab.data.task import Example, Rewrite

PAIRS = (
    ("source", "target"), ("source", "summary"), ("document", "summary"), ("text", "summary"), ("article", "highlights"),
    ("product", "reactants"),
)  # fmt: skip


class Generation(Table):
    """rouge_l decides (Lin 2004); rouge_1, rouge_2 and exact_match beside it: the best over all references."""

    __slots__ = ()
    example: ClassVar[type[Example]] = Rewrite
    measures: ClassVar[Mapping[str, bool]] = {"rouge_l": True, "rouge_1": True, "rouge_2": True, "exact_match": True}
    fields: ClassVar[tuple[str, ...]] = ("source", "target")
    datasets: ClassVar[Mapping[str, Entry]] = {entry.name: entry for entry in ENTRIES}
    layouts: ClassVar[tuple[Layout, ...]] = (
        *({"source": source, "target": target} for source, target in PAIRS),
        {"source": "source", "target": "target", "references": "references"},
        {"source": "source", "target": "summary", "references": "summaries"},
    )

    @classmethod
    def example_of(cls, row: Row, layout: Layout, where: str, name: str, classes: Classes) -> Rewrite:
        target = text_of(row, layout["target"], where)
        others = texts_of(row, layout["references"], where) if "references" in layout else ()
        references = tuple(dict.fromkeys((target, *(other.strip() for other in others if other.strip()))))
        return Rewrite(id=name, source=text_of(row, layout["source"], where), target=target, references=references)
