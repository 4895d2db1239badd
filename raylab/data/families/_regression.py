"""The regression dataset of the MUPPET list. Its fixture rows are invented."""

from raylab.data.table import entry

ENTRIES = (
    entry(
        "stsb",
        "nyu-mll/glue",
        {"text": "sentence1", "text_b": "sentence2", "score": "label"},
        [
            ("A woman is rowing.", "A woman rows a boat.", 4.6),
            ("A woman is rowing.", "A man is asleep.", 0.4),
            ("A boat is on the river.", "A boat lies on the bank.", 3.0),
        ],
        config="stsb",
        measure="pearson",
        licence="other: see each task of GLUE",
        source="Cer et al. 2017, arXiv 1708.00055",
    ),
)
