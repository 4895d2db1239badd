"""Tagging is not in the MUPPET list; this is a small public set. Its fixture rows are invented."""

from raylab.data.table import entry

KINDS = ("corporation", "creative-work", "group", "location", "person", "product")

ENTRIES = (
    entry(
        "wnut17",
        "leondz/wnut_17",
        {"tokens": "tokens", "tags": "ner_tags"},
        [
            (["Oda", "Pell", "is", "in", "Arvelo"], [9, 10, 0, 0, 7]),
            (["Nothing", "here"], [0, 0]),
        ],
        splits={"train": "train", "dev": "validation", "test": "test"},
        measure="span_f1",
        labels=("O", *(f"{mark}-{kind}" for kind in KINDS for mark in "BI")),
        licence="CC BY 4.0",
        source="Derczynski et al. 2017, WNUT2017 Shared Task",
    ),
)
